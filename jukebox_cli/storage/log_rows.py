"""The rows of log.jsonl: the events of a run, and the figures of a model's training."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jukebox_cli.config.bounds import MAX_LEVELS
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.documents import read_jsonl

#: No training has so many steps, no command so many tokens.
MAX_COUNT = 2**48
#: Events of this program; plugins have others, with fields of their own.
EVENTS = ("level", "sampled", "decoded", "continue", "primed", "aligned")

_PART = re.compile(r"(vqvae|prior|decoder)-\d", re.ASCII)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events in a run's log, oldest first; none if there is no file. Raises InputError for a
    row with a field that is missing, or of another type or size."""
    return _read(path, _event_problem)


def read_training_rows(path: Path) -> list[dict[str, Any]]:
    """The figures in a model's log, oldest first; none if there is no file. Raises InputError as
    `read_events` does."""
    return _read(path, _training_problem)


def _read(path: Path, problem: Callable[[Mapping[str, Any]], str]) -> list[dict[str, Any]]:
    rows = read_jsonl(path) if path.exists() else []
    for number, row in enumerate(rows, 1):
        if what := problem(row):
            raise InputError(f"{path}:{number}: {what}", "correct that line")
    return rows


def _is_number(value: object) -> bool:
    """Whether it is a number; that it is finite is seen to when JSON is read."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_amount(value: object) -> bool:
    return _is_number(value) and 0 <= value <= MAX_COUNT  # type: ignore[operator]


def _is_count(value: object) -> bool:
    return _is_amount(value) and isinstance(value, int)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_level(value: object) -> bool:
    return _is_count(value) and value < MAX_LEVELS  # type: ignore[operator]


def _is_list_of(is_valid: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(is_valid, value))


def _is_amount_or_amounts(value: object) -> bool:
    return _is_amount(value) or _is_list_of(_is_amount)(value)


#: What fields of events are.
_EVENT_FIELDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "level": (_is_level, f"a level from 0 to {MAX_LEVELS - 1}"),
    "items": (_is_list_of(_is_count), "a list of items"),
    "tokens": (_is_count, "a number of tokens"),
    "seconds": (_is_amount_or_amounts, "a number of seconds, or one for each item"),
    **{name: (_is_count, "a number from 0") for name in ("layer", "head")},
    **{name: (_is_text, "a text") for name in ("format", "engine", "audio", "intent")},
}


def _event_problem(row: Mapping[str, Any]) -> str:
    """What is wrong with an event; empty if nothing is."""
    if not _is_amount(row.get("time")):
        return "time must be a number of seconds"
    if not _is_text(row.get("event")):
        return "event must be a text"
    for name, (is_valid, what) in _EVENT_FIELDS.items() if row["event"] in EVENTS else ():
        if name in row and not is_valid(row[name]):
            return f"{name} must be {what}"
    return ""


def _training_problem(row: Mapping[str, Any]) -> str:
    """What is wrong with figures; empty if nothing is."""
    if not (isinstance(row.get("component"), str) and _PART.fullmatch(row["component"])):
        return "component must be a part such as prior-2"
    if not _is_count(row.get("step")):
        return "step must be a number from 0"
    held_out = row.get("held_out", {})
    if not isinstance(held_out, dict):
        return "held_out must have a number for each figure"
    figures = {**{k: v for k, v in row.items() if k not in ("component", "held_out")}, **held_out}
    wrong = next((name for name, value in figures.items() if not _is_number(value)), None)
    return f"{wrong} must be a number" if wrong is not None else ""
