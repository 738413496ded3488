"""`jukebox play`: the audio of runs, decoded first where that is needed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.command_line import Jukebox, Refused
from support.players import make_player

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has a player built in")


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The arguments that a player was given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return make_player(folder, "ffplay")


def files(played: Path) -> list[str]:
    return [line for line in played.read_text().splitlines() if line.endswith(".wav")]


def test_items_are_played_one_after_another(place: Path, jukebox: Jukebox, played: Path) -> None:
    result = jukebox("play", "run")
    names = [f"run/audio/item-0{item}.wav" for item in (0, 1)]
    assert (result.code, result.out) == (0, "")
    assert result.err == "".join(f"playing {name}\n" for name in names)
    assert files(played) == names


def test_one_item_is_decoded_and_played(place: Path, jukebox: Jukebox, played: Path) -> None:
    for path in Path("run/audio").iterdir():
        path.unlink()
    assert jukebox("play", "run", "--item", 1, "--quiet").code == 0
    assert files(played) == ["run/audio/item-01.wav"]
    assert [path.name for path in Path("run/audio").iterdir()] == ["item-01.wav"]


def test_an_item_that_is_not_there(refused: Refused) -> None:
    refused("play", "run", "--item", 7, error="run has no item 7", hint="it has 0, 1")


def test_an_incomplete_run_is_not_played(place: Path, jukebox: Jukebox) -> None:
    jukebox("generate", "--model", "tiny", "--seconds", 0.05, "--out", "top", "--until", "top")
    result = jukebox("play", "top")
    assert (result.code, result.err) == (
        2,
        "error: item 0 of top is incomplete at level 0\n\n"
        "hint: finish it with `jukebox upsample`, or choose others: --only, --level\n",
    )


def test_no_player(place: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place))
    result = jukebox("play", "run", "-q")
    assert result.code == 2
    assert result.err.startswith("error: no program that plays audio was found\n\nhint: install ")
