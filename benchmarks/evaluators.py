"""Models that transcribe audio, from libraries that only benchmarks/conditioning.py needs."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jukebox_cli.audio.io import hash_files
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.files import write_text

Transcript = TypeVar("Transcript")


def import_evaluator(module: str) -> Any:
    """A module of an evaluation library. Raises InputError if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        hint = "install it as benchmarks/evaluators.txt says, or leave that part out with --only"
        raise InputError(f"an evaluation library is missing: {missing}", hint) from None


def cached_transcript(
    folder: Path, audio: Path, transcribe: Callable[[Path], Transcript]
) -> Transcript:
    """The transcript of a recording, kept as JSON in a file named by a hash of the audio."""
    path = folder / f"{hash_files([audio])}.json"
    if not path.exists():
        write_text(path, json.dumps(transcribe(audio)) + "\n")
    transcript: Transcript = json.loads(path.read_text(encoding="utf-8"))
    return transcript
