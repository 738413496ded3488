"""Conditions of a song -> the flags that say them, each checked by having its conditioner read it.

A run keeps what conditioners made of what was said: contents, not paths. What does not fit into a
flag goes into a file that the flag names, and what no text says again is told in words.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jukebox_cli.api import Conditioner, InputError, InputWarning, Song
from jukebox_cli.registry import Registry

from . import lyrics, notes

Flag = tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file that a command reads."""

    name: str
    data: bytes

    @property
    def text(self) -> str | None:
        """What it says, if it is a text."""
        return None if self.name.endswith(".mid") else self.data.decode("utf-8")


@dataclass(frozen=True)
class Words:
    """A part of a command: flags, the files they name, and what is needed that isn't here."""

    flags: tuple[Flag, ...] = ()
    files: tuple[File, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Words) -> Words:
        flags, files = self.flags + other.flags, self.files + other.files
        return Words(flags, files, self.notes + other.notes)


def flag(name: str, value: Any) -> Flag:
    """`--top-p 0.9`, `--greedy`, `--no-greedy`."""
    name = name.replace("_", "-")
    if isinstance(value, bool):
        return (f"--{name}" if value else f"--no-{name}",)
    return (f"--{name}", str(value))


def saying(registry: Registry, song: Song) -> Words:
    """The flags of `generate` that ask for a song."""
    said, left = Words(), dict(song)
    for name in registry.conditioners:
        for words, values in _tries(registry.make_conditioner(name, {}), left):
            if values is not None and _same(values, left):
                said += words
                left = {key: value for key, value in left.items() if key not in values}
                break
    return sum((_unsaid(registry, key) for key in left), said)


def _same(values: Mapping[str, Any], song: Song) -> bool:
    """Whether a song has what was read; what it lacks must be nothing."""
    return all(song[key] == value if key in song else not value for key, value in values.items())


def _tries(
    conditioner: Conditioner, song: Song
) -> Iterator[tuple[Words, Mapping[str, Any] | None]]:
    """Ways to say what a conditioner may have been told, and what it makes of each."""
    names = [field.name for field in fields(conditioner.Input) if field.name in song]
    if names == ["midi"] and (played := notes.midi_file(notes.instruments(song["midi"]))):
        yield _try_file(conditioner, "midi", File("song.mid", played))
    given = {name: _text(song[name]) for name in names}
    if not names or None in given.values():
        return
    if not any("\n" in str(value) for value in given.values()):
        yield _try(conditioner, given, None)
    yield _try(conditioner, given, ".txt")
    if names == ["lyrics"]:
        yield _try(conditioner, {"lyrics": lyrics.text(song)}, ".txt")
        for text in lyrics.lrcs(song):
            yield _try(conditioner, {"lyrics": text}, ".lrc")
    yield _try(conditioner, given, None)


def _text(value: Any) -> Any:
    """A value as a flag has it: words with commas between, numbers as they are; None for others."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ",".join(value)
    return value if isinstance(value, (str, int, float)) else None


def _try(
    conditioner: Conditioner, given: Mapping[str, Any], suffix: str | None
) -> tuple[Words, Mapping[str, Any] | None]:
    """Flags for what is given, texts in files if there is a suffix for these; what is read then."""
    texts = [name for name, value in given.items() if isinstance(value, str) and suffix]
    files = {name: File(f"{name}{suffix}", given[name].encode()) for name in texts}
    told = {**given, **{name: file.name for name, file in files.items()}}
    flags = tuple(flag(name, value) for name, value in told.items())
    return Words(flags, tuple(files.values())), _read(conditioner, told, tuple(files.values()))


def _try_file(
    conditioner: Conditioner, name: str, file: File
) -> tuple[Words, Mapping[str, Any] | None]:
    return Words((flag(name, file.name),), (file,)), _read(conditioner, {name: file.name}, (file,))


def _read(
    conditioner: Conditioner, given: Mapping[str, Any], files: tuple[File, ...]
) -> Mapping[str, Any] | None:
    """What a conditioner makes of flags and files, as JSON; None when it can't read them."""
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        for file in files:
            (Path(folder) / file.name).write_bytes(file.data)
        try:
            values: dict[str, Any] = json.loads(json.dumps(conditioner.read(given, Path(folder))))
        except InputError:
            return None
        return values


def _unsaid(registry: Registry, key: str) -> Words:
    """A flag for what can't be put into one, as far as is known, and what to do about it."""
    inputs = {field.name for c in registry.conditioners.values() for field in fields(c.Input)}
    if key not in inputs:
        return Words(notes=(f"What the run has for “{key}”; no flag here says it.",))
    file = "song.mid" if key == "midi" else key
    name = flag(key, file)
    note = f"What {' '.join(name)} was read from; the run keeps what was read, but not the file."
    return Words((name,), notes=(note,))
