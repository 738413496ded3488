"""Recordings to train on or to continue: audio files, folders of them, and manifests.

A manifest is a .jsonl or .csv file with a row per recording: `audio`, a path relative to the
manifest; optionally `held_out`; and the inputs of conditioners, by their names. All mistakes are
reported at once, each with its line.
"""

from __future__ import annotations

import csv
import io
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from jukebox_cli.audio.folders import find_audio
from jukebox_cli.config.suggest import did_you_mean, join_names
from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.contract import PluginError, read_values
from jukebox_cli.interfaces.errors import InputError, InputWarning, combine_errors, read_error
from jukebox_cli.registry import Registry
from jukebox_cli.storage.documents import json_problem, parse_json_value

In = TypeVar("In")
Out = TypeVar("Out")

#: Columns of a manifest that are not inputs of a conditioner; all but `audio` may be missing.
CORE_COLUMNS = ("audio", "held_out", "seconds")

MANIFEST_SUFFIXES = frozenset((".jsonl", ".csv"))

#: What `held_out` can be, in lower case, in a row that is not trained on, and in one that is.
TRUE_WORDS = ("1", "1.0", "true", "t", "yes", "y")
FALSE_WORDS = ("0", "0.0", "false", "f", "no", "n", "", "none")

#: What to do about rows of a table that can't be told apart.
QUOTE_HINT = 'end every quote, and write a quote within a cell twice: ""'

#: How like a known column an unknown one must be to be taken for a mistake.
TYPO_SIMILARITY = 0.75


@dataclass(frozen=True)
class Recording:
    """An audio file, the values of all conditioners for it, and whether it is held out from
    training.

    row: the place of the manifest's row that says so, such as `songs.jsonl:3`; None for a file that
        was named itself or found in a folder.
    """

    audio: Path
    song: Song
    held_out: bool = False
    row: str | None = field(default=None, compare=False)


def read_conditions(registry: Registry, inputs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values of all conditioners, merged, from inputs by option or column name.

    folder: what relative paths in the inputs start from.
    Raises InputError for an unknown name and for what a conditioner cannot read.
    """
    owners = {f.name: name for name, c in registry.conditioners.items() for f in fields(c.Input)}
    for key in inputs:
        if key not in owners:
            hint = did_you_mean(key, owners) or f"known are: {', '.join(sorted(owners))}"
            raise InputError(f"no condition '{key}'", hint)
    song: dict[str, Any] = {}
    for name in registry.conditioners:
        own = {k: v for k, v in inputs.items() if owners[k] == name and v is not None}
        if own:
            song |= read_values(registry.make_conditioner(name, {}), own, folder)
    return song


def load_recordings(registry: Registry, sources: Sequence[Path]) -> list[Recording]:
    """The recordings of audio files, folders and manifests, in the order of the sources.

    Raises one InputError for all sources that are missing or have bad rows.
    """
    loaded = _call_for_each(partial(_load_source, registry), sources)
    return list(chain.from_iterable(loaded))


def validate_audio(recordings: Sequence[Recording]) -> float:
    """The total duration in seconds. Raises one InputError for all files that cannot be read."""
    from jukebox_cli.audio.io import duration_seconds  # imports numpy

    return math.fsum(_call_for_each(duration_seconds, [each.audio for each in recordings]))


def _call_for_each(function: Callable[[In], Out], values: Iterable[In]) -> list[Out]:
    """What a function returns for each value. Raises one InputError for all that it refuses."""
    results: list[Out] = []
    problems: list[InputError] = []
    for value in values:
        try:
            results.append(function(value))
        except InputError as error:
            problems.append(error)
    if problems:
        raise combine_errors(problems)
    return results


def _load_source(registry: Registry, source: Path) -> Iterable[Recording]:
    if source.is_dir():
        return [Recording(path, {}) for path in find_audio(source)]
    if source.suffix.lower() in MANIFEST_SUFFIXES:
        return list(_load_manifest(registry, source))
    if not source.exists():
        raise InputError(f"no file {source}", "check the path")
    return [Recording(source, {})]


def _load_manifest(registry: Registry, path: Path) -> Iterator[Recording]:
    """The recordings of a manifest. Raises one InputError for all bad rows, after the last one."""
    columns = {f.name for c in registry.conditioners.values() for f in fields(c.Input)}
    unknown: list[str] = []
    problems: list[InputError] = []
    for number, row in _read_rows(path):
        place = f"{path}:{number}"
        try:
            if isinstance(row, InputError):
                raise row
            found = [k for k in _unknown_columns(row, columns) if k not in unknown]
            unknown += found
            problems += _typos(place, found, columns)
            yield replace(_recording(registry, row, path.parent, columns), row=place)
        except PluginError:
            raise
        except InputError as error:
            problems.append(InputError(f"{place}: {error.message}", error.hint))
    if problems:
        raise combine_errors(problems)
    if unknown:
        message = f"{path} has columns that no plugin reads: {join_names(unknown)}"
        warnings.warn(message, InputWarning, stacklevel=2)


def _unknown_columns(row: Mapping[str, Any], columns: set[str]) -> list[str]:
    """The columns that a row has a value for, though no conditioner reads them."""
    return [k for k, v in row.items() if k not in (*CORE_COLUMNS, *columns) and v not in (None, "")]


def _typos(place: str, unknown: Sequence[str], columns: set[str]) -> Iterator[InputError]:
    """Errors about the unknown columns that are most likely misspelt ones."""
    for column in unknown:
        if hint := did_you_mean(column, (*CORE_COLUMNS, *columns), TYPO_SIMILARITY):
            yield InputError(f"{place}: no column '{column}'", hint)


def unique_recordings(recordings: Sequence[Recording]) -> list[Recording]:
    """Each audio file once. What a manifest's row says wins over a file of a folder.

    Raises one InputError for all rows that repeat the audio of another row with other values.
    """
    chosen: dict[str, Recording] = {}
    problems = []
    for each in recordings:
        first = chosen.setdefault(os.path.abspath(each.audio), each)
        if first.row is None:
            chosen[os.path.abspath(each.audio)] = each
        elif each.row and (each.song, each.held_out) != (first.song, first.held_out):
            what = f"{each.row}: {each.audio} has other values in {first.row}"
            problems.append(InputError(what, "leave out one of the rows"))
    if problems:
        raise combine_errors(problems)
    return list(chosen.values())


def _recording(
    registry: Registry, row: Mapping[str, Any], folder: Path, columns: set[str]
) -> Recording:
    if not row.get("audio"):
        raise InputError("no 'audio' in this row", "every row needs the path of an audio file")
    audio = folder / str(row["audio"])
    try:
        is_file = audio.is_file()
    except OSError as error:  # a name that is too long, a folder that can't be read
        raise read_error(audio, error) from None
    if not is_file:
        raise InputError(f"no file {audio}", "paths are relative to the manifest")
    inputs = {k: v for k, v in row.items() if k in columns and v not in (None, "")}
    held_out = _read_held_out(row.get("held_out"))
    return Recording(audio, read_conditions(registry, inputs, folder), held_out)


def _read_held_out(value: object) -> bool:
    word = str(value).strip().lower()
    if word not in (*TRUE_WORDS, *FALSE_WORDS):
        raise InputError(f"can't read held_out '{value}'", "write true or false")
    return word in TRUE_WORDS


def _require_audio_column(path: Path, found: Sequence[str]) -> None:
    """Raises InputError, naming the columns that were found, for a table without `audio`."""
    if "audio" in found:
        return
    close = [name for name in found if did_you_mean(name, ["audio"], TYPO_SIMILARITY)]
    hint = f"rename '{close[0]}' to 'audio'" if close else "call the column of the paths 'audio'"
    if len(found) == 1 and any(separator in found[0] for separator in ";\t|"):
        hint = "separate columns with commas"
    raise InputError(f"{path} has no column 'audio', only {join_names(found)}", hint)


def _read_rows(path: Path) -> list[tuple[int, dict[str, Any] | InputError]]:
    """The rows of a manifest with their line numbers; an error in place of a row that is none."""
    text = read_text(path).removeprefix("\ufeff")  # which Excel writes before a table
    rows = list(_json_rows(text) if path.suffix.lower() == ".jsonl" else _csv_rows(path, text))
    if not rows:
        raise InputError(f"{path} has no rows", "write one for each recording")
    return rows


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                row = parse_json_value(line)
            except ValueError as error:
                row = InputError(f"bad JSON: {json_problem(error)}", "correct that line")
            if not isinstance(row, (dict, InputError)):
                row = InputError("not a JSON object", 'write {"audio": "song.wav"}')
            yield number, row


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    _require_audio_column(path, reader.fieldnames or ["audio"])
    first = 2  # line of the row that is read next
    try:
        for row in reader:
            if any(row.pop(None, ())):  # cells without a column
                what = "more cells than columns"
                yield reader.line_num, InputError(what, "put quotes around cells with commas")
            else:
                yield reader.line_num, dict(row)
            first = reader.line_num + 1
    except csv.Error as error:
        if "unexpected end" in str(error):
            yield first, InputError("a quote begins in this row and never ends", QUOTE_HINT)
        else:
            yield max(first, reader.line_num), InputError(f"bad CSV: {error}", QUOTE_HINT)
