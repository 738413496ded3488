"""`jukebox upsample`, and what all commands require of a run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import sampler
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.run_setup import reopen_job
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.command_line import GENERATE, Jukebox, Refused, stdout_of, stop_at, truncate
from support.run_files import all_tokens, without_checksum


@pytest.mark.parametrize(
    ("until", "levels", "audio"),
    [("top", [2], False), ("tokens", [0, 1, 2], False), ("audio", [0, 1, 2], True)],
)
def test_until_stops_at_a_level_and_upsample_completes_the_run(
    until: str,
    levels: list[int],
    audio: bool,
    run: Path,
    generate: Callable[..., str],
    jukebox: Jukebox,
) -> None:
    part = run.with_name("part")
    generate("--out", part, "--until", until)
    assert Run(part).levels_with_tokens(0) == levels
    assert (part / "audio").exists() == audio
    assert stdout_of(jukebox("upsample", part)) == f"{part}\n"
    assert all_tokens(part) == all_tokens(run)
    assert (part / "audio/item-00.wav").read_bytes() == (run / "audio/item-00.wav").read_bytes()


@pytest.mark.parametrize("command", ["continue", "upsample", "decode"])
@pytest.mark.parametrize(
    ("name", "error"),
    [("nosuch", "nosuch does not exist"), ("music", "music is not a run: it has no run.yaml")],
)
def test_a_folder_that_is_not_a_run_is_an_error(
    command: str, name: str, error: str, refused: Refused
) -> None:
    refused(command, name, error=error, hint="make one with `jukebox generate --out`")


@pytest.mark.parametrize("command", ["continue", "upsample", "decode"])
def test_an_unknown_item_is_an_error(command: str, refused: Refused) -> None:
    refused(command, "run", "--only", "1-3", error="run has no item 2", hint="it has 0, 1")
    hint = "write a list such as 2, 0,2 or 4-7"
    refused(command, "run", "--only", "4-2", error="can't read --only '4-2'", hint=hint)


@pytest.mark.parametrize("command", ["continue", "upsample", "decode"])
def test_a_run_of_another_model_is_refused(command: str, refused: Refused) -> None:
    refused(
        *(command, "run", "--model", "other"),
        error="run is a run of another model than 'other'",
        hint="name the folder of the model it was made with: --model",
    )


def test_a_changed_or_missing_model_is_an_error(place: Path, refused: Refused) -> None:
    text = without_checksum((place / "run/run.yaml").read_text())
    (place / "run/run.yaml").write_text(re.sub("(?m)^model: .*$", "model: models/mine", text))
    refused(
        *("upsample", "run"),
        error="the model of run is missing: 'models/mine'",
        hint="say where it is now: --model FOLDER",
    )
    refused(
        "upsample", "run", "--model", "tniy", error="no model 'tniy'", hint="did you mean 'tiny'?"
    )
    shutil.copytree("models/other", "models/mine")
    refused(
        *("upsample", "run"),
        error="run is a run of another model than 'mine'",
        hint="name the folder of the model it was made with: --model",
    )


def test_a_level_is_not_sampled_below_an_incomplete_one(
    tiny: Model, registry: Registry, place: Path, jukebox: Jukebox
) -> None:

    assert jukebox(*GENERATE, "--until", "top").code == 0
    job = reopen_job(Path("out"), registry, None)
    with pytest.raises(InputError) as caught:
        sample_level(job, 0)
    assert caught.value.message == "item 0 of out is incomplete at level 1"
    assert caught.value.hint == "finish that level first, with the command that began it"


def test_tokens_of_a_recording_are_not_replaced_by_sampled_ones(
    refused: Refused, place: Path, jukebox: Jukebox
) -> None:
    again = ("tokenize", "tone.wav", "--model", "models/tiny", "--out", "encoded", "--as", "run")
    assert jukebox(*again).code == 0
    path = Path("encoded/tokens/level-1/item-00.safetensors")
    hint = "restore it from a copy, or create the run again from its recording"
    whole = path.read_bytes()
    truncate(path)
    error = f"{path} is damaged: it is cut off"
    refused("decode", "encoded", "--level", 1, error=error, hint=hint)
    path.unlink()
    gone = f"{path}, with the tokens of a recording, is missing"
    refused("upsample", "encoded", error=gone, hint=hint)
    refused(*again, error=gone, hint=hint)
    path.write_bytes(whole)
    assert jukebox(*again).code == jukebox("upsample", "encoded").code == 0


def test_the_hint_of_a_damaged_file_works(place: Path, jukebox: Jukebox) -> None:
    before = all_tokens(Path("run"))
    path = Path("run/tokens/level-0/item-01.safetensors")
    truncate(path)
    assert jukebox("upsample", "run").code == 2
    path.unlink()
    assert jukebox("upsample", "run").code == 0
    assert all_tokens(Path("run")) == before


@pytest.mark.parametrize(
    ("name", "text", "error", "hint"),
    [
        (
            "items/item-00.json",
            '{"format": 2,\n "num',
            "run/items/item-00.json:2: damaged: Unterminated string starting at",
            "restore it from a copy, or make it again",
        ),
        (
            "items/item-00.json",
            "{}",
            "run/items/item-00.json names no format",
            "restore it from a copy, or make it again",
        ),
        (
            "items/item-00.json",
            "[]",
            "run/items/item-00.json: damaged: not a mapping",
            "restore it from a copy",
        ),
        (
            "items/item-00.json",
            '{"format": 2, "checksum": null, "num_samples": 800}',
            "run/items/item-00.json is damaged: segments: Field required",
            "restore it from a copy, or make the run again",
        ),
        (
            "items/item-00.json",
            '{"format": 1, "samples": 800, "song": {}}',
            "run/items/item-00.json: format 1 cannot be read, only format 2",
            "an earlier version of jukebox wrote it: make it anew, or see CHANGELOG.md for new "
            "keys",
        ),
        (
            "run.yaml",
            "format: 1\nmodel: [\n",
            "run/run.yaml:3: bad YAML: expected the node content, but found '<stream end>'",
            "check the indentation and the quotes around that line",
        ),
        ("run.yaml", "modle: x\n", "no key 'modle' in run/run.yaml:1", "did you mean 'model'?"),
        (
            "run.yaml",
            "format: 1\n",
            "run/run.yaml: format 1 cannot be read, only format 2",
            "an earlier version of jukebox wrote it: make it anew, or see CHANGELOG.md for new "
            "keys",
        ),
    ],
)
def test_a_damaged_file_of_a_run_is_an_error(
    name: str, text: str, error: str, hint: str, place: Path, refused: Refused
) -> None:
    path = place / "run" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    refused("upsample", "run", error=error, hint=hint)


def test_an_item_without_its_file_is_an_error(place: Path, refused: Refused) -> None:
    (place / "run/items/item-01.json").unlink()
    error, hint = "run has no item 1", "it has 0"
    refused("upsample", "run", "--only", 1, error=error, hint=hint)


def test_a_number_of_slices_that_cannot_be_is_an_error(refused: Refused) -> None:
    error = "--parallel must be 1 or more, or auto, not 'all'"
    refused("upsample", "run", "--parallel", "all", error=error, hint="try --parallel auto")
    refused(
        *GENERATE,
        "--parallel",
        "0",
        error=error.replace("'all'", "'0'"),
        hint="try --parallel auto",
    )


def test_a_level_is_finished_in_the_slices_that_it_was_begun_in(
    place: Path, jukebox: Jukebox, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ("generate", "--model", "models/tiny", "--seconds", 0.1, "--engine", "torch")
    assert jukebox(*long, "--parallel", 2, "--out", "whole").code == 0
    assert jukebox(*long, "--out", "sliced", "--until", "top").code == 0
    stop_at(monkeypatch, sampler, "draw_tokens", 100 + 80)  # level 1 has no room for two slices
    assert jukebox("upsample", "sliced", "--engine", "torch", "--parallel", 2).code == 130
    assert "level 0: " in jukebox("run", "show", "sliced").out
    assert ", 2 slices" in jukebox("run", "show", "sliced").out
    refused(
        *("upsample", "sliced", "--parallel", "1"),
        error="item 0 of sliced was begun at level 0 in 2 slices, not in one slice",
        hint="leave out --parallel to finish it, or choose another --out",
    )
    assert jukebox("upsample", "sliced").code == 0
    assert all_tokens(Path("sliced")) == all_tokens(Path("whole"))
    assert jukebox("upsample", "sliced", "--parallel", 1).code == 0  # there is nothing to do
