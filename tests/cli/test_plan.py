"""`jukebox plan` and `generate --dry-run`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.storage.model import Model
from support.command_line import SECONDS, Jukebox, Refused, stdout_of
from support.run_files import contents

TIME = r"[\d.]+ (s|min \d+ s)"


def plan(jukebox: Jukebox, *words: object, **expected: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stdout_of(jukebox("plan", *words, "--json")))
    assert {key: found[key] for key in expected} == expected
    return found


def test_a_plan_says_what_a_song_takes_and_writes_nothing(
    tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    before, out = contents(tmp_path), tmp_path / "run"
    words = ("--model", tiny.path, "--seconds", SECONDS, "--items", 2, "--out", out)
    found = plan(jukebox, *words, run=str(out), items=[0, 1], audio_seconds=SECONDS)
    assert list(found) == [
        *("run", "items", "audio_seconds", "levels", "seconds", "first_sound", "stages"),
        *("memory", "device_memory", "disk"),
    ]
    assert {key: level["tokens"] for key, level in found["levels"].items()} == {
        "2": 50,
        "1": 100,
        "0": 200,
    }
    keys = ["tokens", "engine", "precision", "tokens_per_second", "seconds"]
    assert all(list(level) == keys for level in found["levels"].values())
    assert list(found["stages"]) == ["load", "conditions", "prefill", "sampling", "decode"]
    assert found["seconds"] >= found["first_sound"] > 0
    assert contents(tmp_path) == before


def test_a_plan_can_be_read(tiny: Model, jukebox: Jukebox, tmp_path: Path) -> None:
    words = ("--model", tiny.path, "--seconds", SECONDS, "--out", tmp_path / "run")
    result = jukebox("plan", *words, "--precision", "fp32")
    lines = stdout_of(result).splitlines()
    patterns = [
        rf"{tmp_path}/run: 1 item of 0.1 s, in about {TIME}",
        rf"level 2: 25 tokens at [\d,]+ tokens/s \(\w+, fp32\), {TIME}",
        rf"level 1: 50 tokens at [\d,]+ tokens/s \(\w+, fp32\), {TIME}",
        rf"level 0: 100 tokens at [\d,]+ tokens/s \(\w+, fp32\), {TIME}",
        rf"stages: load {TIME}, conditions {TIME}, prefill {TIME}, sampling {TIME}, decode {TIME}",
        rf"first sound: after {TIME}",
        r"memory: (unknown|[\d.]+ [MG]B)",
        r"disk: \d+ kB",
    ]
    assert len(lines) == len(patterns)
    assert all(re.fullmatch(*pair) for pair in zip(patterns, lines, strict=True)), lines
    stages = ("level 2", "level 1", "level 0", "decode 0")
    assert result.err == "".join(f"measuring {stage}\n" for stage in stages)


def test_quiet_prints_no_progress(tiny: Model, jukebox: Jukebox) -> None:
    result = jukebox("plan", "--model", tiny.path, "--seconds", SECONDS, "--quiet")
    assert stdout_of(result).startswith("runs/song: ")
    assert result.err == ""


def test_a_dry_run_is_a_plan(tiny: Model, jukebox: Jukebox, here: Path) -> None:
    words = ("--model", tiny.path, "--seconds", SECONDS, "--until", "top", "--json")
    before = contents(here)
    planned = json.loads(stdout_of(jukebox("plan", *words)))
    dry = json.loads(stdout_of(jukebox("generate", *words, "--dry-run")))
    same = ("run", "items", "audio_seconds", "disk", "first_sound", "device_memory")
    assert {key: dry[key] for key in same} == {key: planned[key] for key in same}
    assert dry.keys() == planned.keys()
    assert (dry["run"], list(dry["levels"]), dry["first_sound"]) == ("runs/song", ["2"], None)
    assert contents(here) == before


def test_a_plan_is_of_what_is_missing(
    tiny: Model, generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    generate("--out", out, "--until", "top")
    words = ("--model", tiny.path, "--seconds", SECONDS, "--out", out)
    before = contents(tmp_path)
    assert list(plan(jukebox, *words)["levels"]) == ["1", "0"]
    assert contents(tmp_path) == before
    generate("--out", out)
    stages = {"conditions": 0.0, "prefill": 0.0, "sampling": 0.0, "decode": 0.0}
    done = plan(jukebox, *words, levels={})
    assert {key: done["stages"][key] for key in stages} == stages


def test_the_size_on_disk_is_that_of_the_run(
    tiny: Model, generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ("--model", tiny.path, "--seconds", 4, "--out", out)
    planned = plan(jukebox, *words)["disk"]
    stdout_of(jukebox("generate", *words))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert planned == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize("command", [("plan",), ("generate", "--dry-run")])
@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            ("--model", "tony"),
            "no model 'tony'",
            "did you mean 'tiny'?",
        ),
        (
            ("--model", "tiny", "--seconds", 0),
            "--seconds must be more than 0 and less than 1,000,000, not 0",
            "try 20",
        ),
        (
            ("--model", "tiny", "--precision", "bf16", "--device", "cpu"),
            "a CPU samples in fp32, fp16 or int8, not in bf16",
            "use --precision fp16",
        ),
        (
            ("--model", "tiny", "--seconds", SECONDS, "--items", 2, "--seed", 1, "--out", "run"),
            "run is a run with another seed",
            "choose another folder with --out, or ask for the same as before",
        ),
    ],
)
def test_what_generate_refuses_a_plan_refuses(
    command: tuple[str, ...], words: tuple[object, ...], error: str, hint: str, refused: Refused
) -> None:
    refused(*command, *words, error=error, hint=hint)


def test_a_model_without_weights_has_no_plan(place: Path, refused: Refused) -> None:
    (place / "models/tiny/prior-1.safetensors").unlink()
    refused(
        *("plan", "--model", "tiny"),
        error="model 'tiny' has no prior for level 1",
        hint="train one with `jukebox train prior --level 1`",
    )
