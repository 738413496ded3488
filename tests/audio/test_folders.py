"""Looking for audio in folders."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from jukebox_cli.audio.folders import find_audio
from jukebox_cli.interfaces.errors import InputWarning
from support.results import refusal


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_names_that_begin_with_a_dot_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path / "song.wav", tmp_path / "._song.wav", tmp_path / ".Trash/old.wav")
    assert find_audio(tmp_path) == [tmp_path / "song.wav"]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere/b.wav", tmp_path / "music/a.WAV")
    (tmp_path / "music/album").symlink_to("../elsewhere")
    (tmp_path / "music/same").symlink_to("../elsewhere")
    (tmp_path / "music/loop").symlink_to(".")
    (tmp_path / "elsewhere/back").symlink_to("../music")
    (tmp_path / "music/broken.wav").symlink_to("nowhere")
    music = tmp_path / "music"
    assert find_audio(music) == [music / "a.WAV", music / "album/b.wav"]


def test_audio_that_cannot_be_read_is_left_out_with_a_warning(tmp_path: Path) -> None:
    songs = [tmp_path / f"{number}.m4a" for number in range(7)]
    touch(tmp_path / "a.wav", tmp_path / "cover.jpg", *songs)
    with pytest.warns(InputWarning) as caught:
        assert find_audio(tmp_path) == [tmp_path / "a.wav"]
    names = ", ".join(map(str, songs[:5]))
    assert [str(w.message) for w in caught] == [
        f"left out {names} and 2 more: convert them to flac first: ffmpeg -i song.m4a song.flac"
    ]


def test_a_name_that_is_not_utf8_is_left_out_with_a_warning(tmp_path: Path) -> None:
    touch(tmp_path / "a.wav", tmp_path / os.fsdecode(b"l\xe9.wav"))
    with pytest.warns(InputWarning) as caught:
        assert find_audio(tmp_path) == [tmp_path / "a.wav"]
    name = f"{tmp_path}/l\\xe9.wav"
    assert [str(w.message) for w in caught] == [f"left out {name}: their names are not UTF-8"]


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt", tmp_path / "._a.wav")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problem, hint = refusal(find_audio, tmp_path)
    assert problem == f"no audio in {tmp_path}"
    assert hint is not None
    assert hint.startswith("looked for .aif, ")
