"""The rows of logs are validated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.storage.log_rows import read_events, read_training_rows
from support.results import refusal

EVENT: dict[str, Any] = {"time": 1.5, "event": "sampled", "level": 2, "tokens": 9, "seconds": 0.1}
FIGURES: dict[str, Any] = {"component": "prior-2", "step": 4, "loss": 1.5, "seconds": 2}


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    events = [
        EVENT,
        {"time": 2, "event": "continue", "items": [0, 3], "seconds": [0.5, 1], "intent": "a"},
        {"time": 2, "event": "loudness", "level": -14.5, "items": "all"},  # of a plugin
    ]
    assert read_events(write(tmp_path, *events)) == events
    rows = [FIGURES, {"component": "decoder-0", "step": 4, "held_out": {"bits": 2.5}}]
    assert read_training_rows(write(tmp_path, *rows)) == rows
    assert read_events(tmp_path / "none") == read_training_rows(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"time": "now"}, "time must be a number of seconds"),
        ({"time": True}, "time must be a number of seconds"),
        ({"event": ""}, "event must be a text"),
        ({"event": 3}, "event must be a text"),
        ({"level": 1.0}, "level must be a level from 0 to "),
        ({"level": 99}, "level must be a level from 0 to "),
        ({"items": 3}, "items must be a list of items"),
        ({"items": [-1]}, "items must be a list of items"),
        ({"tokens": 1e300}, "tokens must be a number of tokens"),
        ({"seconds": [1, "x"]}, "seconds must be a number of seconds, or one for each item"),
        ({"head": -1}, "head must be a number from 0"),
        ({"engine": None}, "engine must be a text"),
    ],
)
def test_a_wrong_event_is_an_error(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = write(tmp_path, EVENT, {**EVENT, **change})
    message, hint = refusal(read_events, path)
    assert message.startswith(f"{path}:2: {problem}")
    assert hint == "correct that line"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"component": "prior"}, "component must be a part such as prior-2"),
        ({"step": -1}, "step must be a number from 0"),
        ({"step": "4"}, "step must be a number from 0"),
        ({"loss": "1.5"}, "loss must be a number"),
        ({"held_out": [1]}, "held_out must have a number for each figure"),
        ({"held_out": {"bits": None}}, "bits must be a number"),
    ],
)
def test_wrong_figures_are_an_error(change: dict[str, Any], problem: str, tmp_path: Path) -> None:
    path = write(tmp_path, {**FIGURES, **change})
    assert refusal(read_training_rows, path) == (f"{path}:1: {problem}", "correct that line")


def test_a_number_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, {**FIGURES, "loss": float("nan")}, FIGURES)
    assert refusal(read_training_rows, path)[0].endswith("NaN is no finite number")
