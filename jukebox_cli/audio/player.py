"""Playing an audio file with what the system has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from jukebox_cli.interfaces.errors import InputError

#: Programs that play a file, with their options, in the order in which they are looked for.
PLAYERS = (
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
    ("aplay", "--quiet"),
    ("paplay",),
    ("pw-play",),
    ("afplay",),  # macOS
    ("play", "-q"),  # sox
)

#: Where players print: stdout is for results.
STDERR = 2


def find_player() -> tuple[str, ...]:
    """The command that plays a file whose name follows. Raises InputError if there is none."""
    for name, *options in PLAYERS:
        if shutil.which(name):
            return name, *options
    names = ", ".join(name for name, *_ in PLAYERS[:-1])
    raise InputError("no program that plays audio was found", f"install {names} or sox")


def play_file(path: Path) -> None:
    """Plays a WAV file to its end. Raises InputError if nothing can play it."""
    if sys.platform == "win32":
        import winsound

        winsound.PlaySound(str(path), winsound.SND_FILENAME)
        return
    command = find_player()
    code = subprocess.run([*command, str(path)], stdout=STDERR, check=False).returncode
    if code:
        hint = "is there a sound device? the file can be copied to a machine that has one"
        raise InputError(f"{command[0]} can't play {path}: it ended with exit code {code}", hint)
