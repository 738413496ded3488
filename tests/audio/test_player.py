"""The program that plays a file is found, and told what to play."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jukebox_cli.audio import player
from support.players import make_player
from support.results import refusal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has a player built in")


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_the_first_program_that_is_there_plays(bin_folder: Path) -> None:
    make_player(bin_folder, "aplay")
    played = make_player(bin_folder, "ffplay")
    player.play_file(Path("song.wav"))
    options = "-nodisp -autoexit -loglevel error"
    assert played.read_text().split("\n") == [*options.split(), "song.wav", ""]


def test_sox_is_the_last_resort(bin_folder: Path) -> None:
    make_player(bin_folder, "play")
    assert player.find_player() == ("play", "-q")


def test_no_player(bin_folder: Path) -> None:
    assert refusal(player.play_file, Path("song.wav")) == (
        "no program that plays audio was found",
        "install ffplay, aplay, paplay, pw-play, afplay or sox",
    )


def test_a_player_that_fails(bin_folder: Path) -> None:
    make_player(bin_folder, "paplay", code=3)
    assert refusal(player.play_file, Path("song.wav")) == (
        "paplay can't play song.wav: it ended with exit code 3",
        "is there a sound device? the file can be copied to a machine that has one",
    )


def test_what_a_player_prints_is_not_a_result(bin_folder: Path) -> None:
    make_player(bin_folder, "aplay", text="playing")
    code = "from pathlib import Path; from jukebox_cli.audio import player; "
    command = [sys.executable, "-c", code + "player.play_file(Path('song.wav'))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "playing\n")
