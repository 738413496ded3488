"""The judges that listen to songs: libraries and weights that only benchmarks/steering.py needs,
and what they heard, kept so that nothing is listened to twice."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jukebox_cli.audio.io import hash_files
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.files import write_text

Heard = TypeVar("Heard")


def judge(module: str) -> Any:
    """A module of a library that listens; InputError when it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        hint = "install it as benchmarks/judges.txt says, or leave that part out with --only"
        raise InputError(f"there is no judge to listen: no module '{missing}'", hint) from None


def remembered(folder: Path, audio: Path, hear: Callable[[Path], Heard]) -> Heard:
    """What was heard in a recording, as JSON in a file named by a hash of what is in it."""
    path = folder / f"{hash_files([audio])}.json"
    if not path.exists():
        write_text(path, json.dumps(hear(audio)) + "\n")
    heard: Heard = json.loads(path.read_text(encoding="utf-8"))
    return heard
