"""Lines of songs.jsonl: written and read, and errors of changed ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.storage.corpus_songs import CorpusSong, read_songs, song_line, song_of_line
from support.results import refusal

SONG = CorpusSong("a/b.wav", 3, 5, 800, {"genre": ["ü"]}, False, ("1" * 64, "2" * 64))
HINT = "restore it from a copy, or tokenize the songs into a new corpus"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "songs.jsonl"


def test_songs_are_read_as_they_were_written(path: Path) -> None:
    songs = [SONG, replace(SONG, name="c", held_out=True)]
    path.write_text("".join(f"{song_line(song)}\n" for song in songs))
    assert read_songs(path) == songs
    assert song_of_line(path.read_text().splitlines()[1], path) == songs[1]


def test_a_last_line_that_was_cut_off_is_left_out(path: Path) -> None:
    path.write_text(f"{song_line(SONG)}\n{song_line(SONG)[:50]}")
    assert read_songs(path) == [SONG]


@pytest.mark.parametrize(
    "change", [('"start": 3', '"start": 4'), ('"a/b', '"a/c'), ("111", "112"), ("false", "true ")]
)
def test_a_line_that_was_changed_is_refused(change: tuple[str, str], path: Path) -> None:
    path.write_text(song_line(SONG).replace(*change) + "\n")
    message, hint = refusal(read_songs, path)
    assert message.startswith(f"{path} is damaged at 'a/")
    assert message.endswith("': its checksum does not match")
    assert hint == HINT


def test_a_line_without_a_checksum_is_refused(path: Path) -> None:
    row = json.loads(song_line(SONG))
    del row["checksum"]
    path.write_text(json.dumps(row) + "\n")
    message = f"{path} is damaged at 'a/b.wav': it has no checksum"
    assert refusal(read_songs, path) == (message, HINT)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"start": -1}, "start is not a place in a corpus"),
        ({"start": 2**60}, "start is not a place in a corpus"),
        ({"length": 0}, "length and num_samples must be 1 or more"),
        ({"num_samples": 2**60}, "length and num_samples must be 1 or more"),
        ({"start": "3"}, "start: Input should be a valid integer"),
        ({"held_out": 1}, "held_out: Input should be a valid boolean"),
        ({"song": []}, "song: Input should be an object"),
    ],
)
def test_values_that_can_not_be_are_refused(
    changes: dict[str, Any], problem: str, path: Path
) -> None:
    song = replace(SONG)
    for name, value in changes.items():
        object.__setattr__(song, name, value)
    path.write_text(song_line(song) + "\n")
    assert refusal(read_songs, path) == (f"{path} is damaged at 'a/b.wav': {problem}", HINT)
