"""Audio -> notes, by basic-pitch (Bittner et al. 2022, arXiv 2203.09893)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from judges import judge


class Note(NamedTuple):
    """When a pitched note begins, in seconds, and its MIDI pitch."""

    onset: float
    pitch: int


def transcriber() -> Callable[[Path], list[Note]]:
    """A function that writes down the notes of a recording, in order."""
    basic_pitch, inference = libraries()
    weights = basic_pitch.build_icassp_2022_model_path(basic_pitch.FilenameSuffix.onnx)
    model = inference.Model(weights)

    def transcribe(path: Path) -> list[Note]:
        print(f"notes of {path.name}", file=sys.stderr)
        with redirect_stdout(sys.stderr):
            _, _, events = inference.predict(path, model)
        return sorted(Note(float(start), int(pitch)) for start, _, pitch, _, _ in events)

    return transcribe


def libraries() -> tuple[Any, Any]:
    """basic-pitch, without its warnings that other libraries to run it with are not there."""
    logging.disable(logging.WARNING)
    try:
        return judge("basic_pitch"), judge("basic_pitch.inference")
    finally:
        logging.disable(logging.NOTSET)
