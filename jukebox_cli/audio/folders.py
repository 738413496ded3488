"""Looking for audio in folders."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from jukebox_cli.config.suggest import join_names
from jukebox_cli.interfaces.errors import InputError, InputWarning, require_utf8_name

#: Suffixes of the files that are looked for.
AUDIO_SUFFIXES = frozenset(
    (
        *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au"),
        *(".caf", ".w64"),
    )
)
#: Suffixes of audio and video that libsndfile does not read.
UNREADABLE_SUFFIXES = frozenset(
    (".m4a", ".m4b", ".mp4", ".aac", ".alac", ".wma", ".ape", ".wv", ".dsf", ".webm", ".mka")
)
#: A warning names so many files at most.
MAX_NAMES = 5


def find_audio(folder: Path) -> list[Path]:
    """The audio files in a folder and those below it, sorted. Links to folders are followed, each
    folder once.

    Names that begin with a dot are skipped, as the files that macOS puts beside others. Warns of
    audio that can't be read, and of names that are not UTF-8. Raises InputError if none is left.
    """
    found = sorted(_files(folder, set()))
    audio = [path for path in found if path.suffix.lower() in AUDIO_SUFFIXES]
    named = [path for path in audio if _has_utf8_name(path)]
    unreadable = [path for path in found if path.suffix.lower() in UNREADABLE_SUFFIXES]
    _warn_left_out(unreadable, "convert them to flac first: ffmpeg -i song.m4a song.flac")
    _warn_left_out([path for path in audio if path not in set(named)], "their names are not UTF-8")
    if not named:
        suffixes = ", ".join(sorted(AUDIO_SUFFIXES))
        raise InputError(f"no audio in {folder}", f"looked for {suffixes}")
    return named


def _files(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:  # a loop of links, or a second link
        return
    seen.add((status.st_dev, status.st_ino))
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path, seen)
        elif path.is_file():
            yield path


def _has_utf8_name(path: Path) -> bool:
    try:
        require_utf8_name(path)
    except InputError:
        return False
    return True


def _warn_left_out(paths: list[Path], reason: str) -> None:
    if paths:
        names = [os.fsencode(path).decode(errors="backslashreplace") for path in paths]
        message = f"left out {join_names(names, MAX_NAMES)}: {reason}"
        warnings.warn(InputWarning(message), stacklevel=3)
