"""`jukebox decode`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile

from jukebox_cli.sampling import decode, intents
from support.command_line import (
    FULL_DISK_HINT,
    GENERATE,
    Jukebox,
    Refused,
    partial_files,
    stdout_of,
)
from support.disks import Disk
from support.results import Result


@pytest.mark.parametrize(
    ("kind", "name"), [("wav", "WAV"), ("flac", "FLAC"), ("ogg", "OGG"), ("mp3", "MP3")]
)
@pytest.mark.parametrize("level", [0, 2])
def test_decode_writes_any_level_in_any_format(
    level: int, kind: str, name: str, run: Path, jukebox: Jukebox
) -> None:
    [path] = stdout_of(jukebox("decode", run, "--level", level, "--format", kind)).splitlines()
    folder = run / "audio" / ("level-2" if level else "")
    assert path == str(folder / f"item-00.{kind}")
    sound = soundfile.info(path)
    assert (sound.format, sound.samplerate, sound.channels, sound.frames) == (name, 8000, 1, 400)


def test_a_level_is_decoded_without_lower_levels(
    generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    generate("--out", tmp_path / "run", "--until", "top")
    assert stdout_of(jukebox("decode", tmp_path / "run", "--level", 2))


def test_an_incomplete_level_is_not_decoded(
    place: Path, jukebox: Jukebox, refused: Refused
) -> None:
    assert jukebox(*GENERATE, "--until", "top").code == 0
    refused(
        *("decode", "out"),
        error="item 0 of out is incomplete at level 0",
        hint="finish it with `jukebox upsample`, or choose others: --only, --level",
    )


def test_an_unknown_level_is_an_error(place: Path, refused: Refused) -> None:
    error, hint = "there is no level 3", "the top level is 2"
    refused("decode", "run", "--level", 3, error=error, hint=hint)
    words = ("train", "vqvae", "tone.wav", "--model", "models/new", "--level", 1, "--level", 3)
    refused(*words, error=error, hint=hint)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_a_full_disk_while_decoding_is_an_error(
    kind: str, template: Path, disk: Disk, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # there was room when the command began
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**12))
    run = Path(shutil.copytree(template / "run", disk.path / "run"))
    words = ("decode", run, "--level", 1, "--format", kind, "--only", "0")
    record = intents.record_decoding

    def fill_after(*arguments: Any) -> None:
        record(*arguments)
        disk.fill()

    monkeypatch.setattr(decode, "record_decoding", fill_after)
    path = run / "audio" / "level-1" / f"item-00.{kind}"
    assert jukebox(*words, "--quiet") == Result(
        2, "", f"error: can't write {path}: No space left on device\n\n{FULL_DISK_HINT}"
    )
    assert not path.exists()
    assert partial_files(disk.path) == []
    disk.free()
    monkeypatch.setattr(decode, "record_decoding", record)
    assert jukebox(*words).out == f"{path}\n"
