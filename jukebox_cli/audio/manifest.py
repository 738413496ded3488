"""Manifests and folders of audio -> songs; every bad row is reported at once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jukebox_cli.audio.io import duration_seconds
from jukebox_cli.config.suggest import did_you_mean
from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.contract import read_values
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

#: Columns of a manifest that are not a conditioner's. Those after `audio` are taken or ignored.
CORE_COLUMNS = ("audio", "held_out", "seconds")


AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".caf",
        ".w64",
    ]
)


MANIFEST_SUFFIXES = frozenset((".jsonl", ".csv"))


@dataclass(frozen=True)
class Recording:
    """A piece of audio and what is known of it."""

    audio: Path
    song: Song
    held_out: bool = False


def read_conditions(registry: Registry, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What was said, by flag or column name -> the values of every conditioner, merged."""
    known = {f.name: name for name, c in registry.conditioners.items() for f in fields(c.Input)}
    for key in given:
        if key not in known:
            hint = did_you_mean(key, known) or f"known are: {', '.join(sorted(known))}"
            raise InputError(f"no condition '{key}'", hint)
    song: dict[str, Any] = {}
    for name in registry.conditioners:
        mine = {k: v for k, v in given.items() if known[k] == name and v is not None}
        if mine:
            song |= read_values(registry.make_conditioner(name, {}), mine, folder)
    return song


def load_recordings(registry: Registry, sources: Sequence[Path]) -> list[Recording]:
    """Audio files, folders of them, and manifests (.jsonl or .csv), in the order given."""
    found: list[Recording] = []
    problems: list[InputError] = []
    for source in sources:
        try:
            found.extend(_recordings(registry, source))
        except InputError as error:
            problems.append(error)
    if problems:
        raise combine_errors(problems)
    return found


def validate_audio(pieces: Sequence[Recording]) -> float:
    """Opens every recording; InputError names all that can't be heard. Gives seconds in all."""
    total, problems = 0.0, []
    for piece in pieces:
        try:
            total += duration_seconds(piece.audio)
        except InputError as error:
            problems.append(error)
    if problems:
        raise combine_errors(problems)
    return total


def combine_errors(problems: Sequence[InputError]) -> InputError:
    """Several problems as one, a line each."""
    hints = list(dict.fromkeys(p.hint for p in problems if p.hint))
    return InputError("\n".join(p.message for p in problems), "; ".join(hints) or None)


def _recordings(registry: Registry, source: Path) -> Iterable[Recording]:
    if source.is_dir():
        files = sorted(p for p in source.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        if not files:
            kinds = ", ".join(sorted(AUDIO_SUFFIXES))
            raise InputError(f"no audio in {source}", f"looked for {kinds}")
        return [Recording(p, {}) for p in files]
    if source.suffix.lower() in MANIFEST_SUFFIXES:
        return list(_manifest(registry, source))
    if not source.exists():
        raise InputError(f"no file {source}", "check the path")
    return [Recording(source, {})]


def _manifest(registry: Registry, path: Path) -> Iterator[Recording]:
    columns = {f.name for c in registry.conditioners.values() for f in fields(c.Input)}
    problems: list[InputError] = []
    for number, row in _rows(path):
        try:
            if isinstance(row, InputError):
                raise row
            yield _row(registry, row, path.parent, columns)
        except InputError as error:
            problems.append(InputError(f"{path}:{number}: {error.message}", error.hint))
    if problems:
        raise combine_errors(problems)


def _row(registry: Registry, row: Mapping[str, Any], folder: Path, columns: set[str]) -> Recording:
    if not row.get("audio"):
        raise InputError("no 'audio' in this row", "every row needs a path to a sound file")
    audio = folder / str(row["audio"])
    if not audio.is_file():
        raise InputError(f"no file {audio}", "paths are relative to the manifest")
    given = {k: v for k, v in row.items() if k in columns and v not in (None, "")}
    held_out = str(row.get("held_out", "")).lower() in ("1", "true", "yes")
    return Recording(audio, read_conditions(registry, given, folder), held_out)


def _rows(path: Path) -> list[tuple[int, dict[str, Any] | InputError]]:
    """Rows with their line numbers; what is not a row is an error to be told with the others."""
    text = read_text(path).removeprefix("\ufeff")  # which Excel puts before a table
    rows = list(_json_rows(text) if path.suffix.lower() == ".jsonl" else _csv_rows(text))
    if not rows:
        raise InputError(f"{path} has no rows", "write one for each piece of audio")
    return rows


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                row = InputError(f"bad JSON: {error.msg}", "correct that line")
            if not isinstance(row, (dict, InputError)):
                row = InputError("not a row", 'write {"audio": "song.wav"}')
            yield number, row


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            yield reader.line_num, dict(row)
    except csv.Error as error:
        yield reader.line_num + 1, InputError(f"bad CSV: {error}", "correct that line")
