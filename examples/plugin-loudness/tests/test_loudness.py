"""The plugin's own tests: `pytest` in this folder, with jukebox-cli and the plugin installed."""

from __future__ import annotations

import json
from pathlib import Path

import jukebox_loudness
import numpy as np
import pytest
from jukebox_loudness.measurement import FLOOR_DB, measure

from jukebox_cli.api import Registry
from jukebox_cli.api.testing import CommandResult, run_command, write_tiny_model

REGISTRY = Registry({"loudness": jukebox_loudness})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two items, without audio."""
    model = write_tiny_model(tmp_path / "tiny", REGISTRY)
    options = ("--seconds", 0.1, "--items", 2, "--until", "tokens", "--quiet")
    made = run_command(
        REGISTRY, "generate", "--model", model.path, "--out", tmp_path / "run", *options
    )
    assert made.exit_code == 0, made.stderr
    return tmp_path / "run"


def test_a_full_scale_sine_is_3_db_below_full_scale() -> None:
    sine = np.sin(np.arange(44100) / 10).astype(np.float32)
    assert measure([sine[:100], sine[100:]]) == {
        "rms_db": pytest.approx(-3.01, abs=0.01),
        "peak_db": 0,
    }


def test_silence_is_at_the_floor() -> None:
    assert measure([np.zeros(10, np.float32)]) == {"rms_db": FLOOR_DB, "peak_db": FLOOR_DB}
    assert measure([]) == {"rms_db": FLOOR_DB, "peak_db": FLOOR_DB}


def test_items_are_measured_with_and_without_audio(run: Path) -> None:
    decoded = run_command(REGISTRY, "loudness", run, "--json", "--quiet")
    assert decoded.exit_code == 0, decoded.stderr
    from_tokens = json.loads(decoded.stdout)["loudness"]
    assert list(from_tokens) == ["0", "1"]
    assert from_tokens["0"] != from_tokens["1"]
    assert run_command(REGISTRY, "upsample", run, "--quiet").exit_code == 0
    text = run_command(REGISTRY, "loudness", run, "--only", 1, "--quiet").stdout
    number, rms, _ = text.split()
    assert number == "1"
    assert float(rms) == pytest.approx(from_tokens["1"]["rms_db"], abs=0.1)
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [e["items"] for e in events if e["event"] == "loudness"] == [[0, 1], [1]]


def test_a_level_that_there_is_not_is_an_error(run: Path) -> None:
    assert run_command(REGISTRY, "loudness", run, "--level", 3) == CommandResult(
        2, "", "error: there is no level 3\n\nhint: the top level is 2\n"
    )


def test_an_item_with_missing_tokens_is_an_error(run: Path) -> None:
    (run / "tokens/level-0/item-01.safetensors").unlink()
    result = run_command(REGISTRY, "loudness", run)
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: item 1 of {run} is not complete at level 0\n\n"
        f"hint: finish it with `jukebox upsample {run}`\n"
    )
