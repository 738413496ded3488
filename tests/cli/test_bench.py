"""`jukebox bench`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.sampling import bench as bench_module
from jukebox_cli.storage.model import Model
from support.command_line import Jukebox, Refused, stdout_of
from support.run_files import contents


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures hardly anything."""
    monkeypatch.setattr(bench_module, "BENCH_SECONDS", 0.01)


def bench(jukebox: Jukebox, *words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stdout_of(jukebox("bench", *words, "--json")))
    return found


def test_a_bench_describes_machine_levels_and_a_song(
    tiny: Model, jukebox: Jukebox, here: Path
) -> None:
    before = contents(here)
    found = bench(jukebox, tiny.path, "--seconds", 0.1, "--precision", "fp32", "--device", "cpu")
    assert list(found) == [
        *("model", "device", "kernels", "cores", "cache_bytes", "read_bandwidth", "levels"),
        *("audio_seconds", "seconds", "first_sound", "stages", "memory", "device_memory"),
    ]
    assert (found["model"], found["device"], found["audio_seconds"]) == ("tiny", "cpu", 0.1)
    assert list(found["levels"]) == ["2", "1", "0"]
    for level in found["levels"].values():
        assert list(level) == [
            *("engine", "precision", "threads", "tokens_per_second"),
            *("prefill_tokens_per_second", "weight_bytes", "read_share"),
        ]
        assert list(level["tokens_per_second"]) == ["1", "16"]
        assert min(level["tokens_per_second"].values()) > 0
        assert level["read_share"] is None  # the weights fit into the cache
    assert list(found["stages"]) == ["load", "conditions", "prefill", "sampling", "decode"]
    assert contents(here) == before


def test_a_bench_is_a_table(tiny: Model, jukebox: Jukebox, here: Path) -> None:
    result = jukebox("bench", tiny.path, "--batch", 3, "--seconds", 0.1)
    text = stdout_of(result)
    assert re.search(r"tiny \(\w+(, \w+)?\), tokens/s\n", text)
    head = r"level +batch 1 +batch 3 +prefill +of read limit +computed by"
    assert re.search(head, text)
    rows = re.findall(r"^ +([012]) +[\d,.]+ +[\d,.]+ +[\d,.]+ +- +\w+, \w+$", text, re.MULTILINE)
    assert rows == ["2", "1", "0"]
    labels = re.findall(r"^(\w[^:]*): ", text, re.MULTILINE)
    assert labels == ["0.1 s of audio", "stages", "first sound", "memory", "read limit"]
    stages = ("level 2", "level 1", "level 0", "decode 0", "memory")
    assert result.err == "".join(f"measuring {stage}\n" for stage in stages)


def test_the_torch_engine_can_be_measured(tiny: Model, jukebox: Jukebox) -> None:
    found = bench(jukebox, tiny.path, "--engine", "torch", "--batch", 1, "--seconds", 0.1)
    for level in found["levels"].values():
        assert (level["engine"], list(level["tokens_per_second"])) == ("torch", ["1"])


def test_the_default_model_is_mini(place: Path, jukebox: Jukebox) -> None:
    (place / "models/tiny").rename(place / "models/mini")
    assert bench(jukebox, "--seconds", 0.1)["model"] == "mini"


def test_levels_that_are_there_are_measured(place: Path, jukebox: Jukebox) -> None:
    for name in ("prior-0", "vqvae-0"):
        (place / f"models/tiny/{name}.safetensors").unlink()
    found = bench(jukebox, "tiny", "--seconds", 0.1)
    assert (list(found["levels"]), found["first_sound"]) == (["2", "1"], None)


def test_a_share_is_of_the_bandwidth_where_weights_exceed_the_cache(
    tiny: Model, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jukebox_cli.engine import machine

    monkeypatch.setattr(machine, "cache_bytes", lambda device: 1)
    monkeypatch.setattr(machine, "read_bandwidth", lambda device, threads: 1e12)
    found = bench(jukebox, tiny.path, "--seconds", 0.1)
    assert found["read_bandwidth"] == {"1": 10**12}
    for level in found["levels"].values():
        bytes_per_second = level["weight_bytes"] * level["tokens_per_second"]["1"]
        assert level["read_share"] == pytest.approx(bytes_per_second / 1e12, abs=1e-3)


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("tony",), "no model 'tony'", "did you mean 'tiny'?"),
        (
            ("tiny", "--seconds", -1),
            "--seconds must be more than 0 and less than 1,000,000, not -1",
            "try 20",
        ),
        (
            ("tiny", "--engine", "torch", "--precision", "int8", "--device", "cpu"),
            "only the native engine has int8",
            "use --precision fp16",
        ),
        (
            ("tiny", "--batch", 0),
            "--batch must be 1 or more",
            "see `jukebox bench --help`",
        ),
    ],
)
def test_a_mistake_is_an_error(
    words: tuple[object, ...], error: str, hint: str, refused: Refused
) -> None:
    refused("bench", *words, error=error, hint=hint)


def test_a_model_without_priors_is_an_error(place: Path, refused: Refused) -> None:
    for path in (place / "models/tiny").glob("prior-*.safetensors"):
        path.unlink()
    refused(
        *("bench", "tiny"),
        error="model 'tiny' has no prior for level 2",
        hint="train one with `jukebox train prior --level 2`",
    )
