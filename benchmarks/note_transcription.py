"""Transcription of audio into notes by basic-pitch (Bittner et al. 2022, arXiv 2203.09893)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from evaluators import import_evaluator


class Note(NamedTuple):
    """The beginning of a pitched note."""

    onset: float  # seconds
    pitch: int  # MIDI


def load_note_transcriber() -> Callable[[Path], list[Note]]:
    """A function from a recording to its notes, in order of their onsets."""
    basic_pitch, inference = import_basic_pitch()
    weights = basic_pitch.build_icassp_2022_model_path(basic_pitch.FilenameSuffix.onnx)
    model = inference.Model(weights)

    def transcribe(path: Path) -> list[Note]:
        print(f"notes of {path.name}", file=sys.stderr)
        with redirect_stdout(sys.stderr):
            _, _, events = inference.predict(path, model)
        return sorted(Note(float(start), int(pitch)) for start, _, pitch, _, _ in events)

    return transcribe


def import_basic_pitch() -> tuple[Any, Any]:
    """basic-pitch and its inference module, without its warnings about missing back ends."""
    logging.disable(logging.WARNING)
    try:
        return import_evaluator("basic_pitch"), import_evaluator("basic_pitch.inference")
    finally:
        logging.disable(logging.NOTSET)
