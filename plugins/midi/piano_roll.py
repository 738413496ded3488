"""Notes -> a piano roll with a column for every token of a window.

Its rows, from the top: for the instruments, and then for the voices among them, which pitches
begin and which last; which drums are struck; and one that says that notes were given at all. The
mark of a beginning is as strong as the note was struck, and decays, so that a prior can tell how
long ago it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jukebox_cli.api import PriorShape, Window

from .notes import Instrument, fold_octave

if TYPE_CHECKING:
    from . import Midi

#: General MIDI's drums, from the acoustic bass drum to the open triangle.
FIRST_DRUM, DRUM_COUNT = 35, 47


class NoteRows(NamedTuple):
    """Where a note goes; -1 for nowhere."""

    begins: int
    lasts: int


def num_rows(midi: Midi) -> int:
    return 4 * pitches(midi) + DRUM_COUNT + 1


def pitches(midi: Midi) -> int:
    return midi.max_pitch - midi.min_pitch + 1


def piano_roll(
    midi: Midi, instruments: Sequence[Instrument] | None, window: Window, shape: PriorShape
) -> dict[str, Any]:
    """`roll`, float32 (rows, frames): zeros where no song or no notes were given."""
    roll = np.zeros((num_rows(midi), shape.context_length), np.float32)
    if instruments is None:
        return {"roll": roll}
    roll[-1] = 1.0
    per_second = shape.sample_rate / shape.hop_length
    first = window.start / shape.hop_length
    fading = midi.onset_decay * per_second  # frames
    for instrument in instruments:
        for start, end, pitch, velocity in instrument["notes"]:
            begin, stop = start * per_second - first, end * per_second - first
            if stop > 0 and begin < shape.context_length:
                row = _rows_of(midi, instrument, int(pitch))
                _mark(roll, row, begin, stop, velocity / 127, fading)
    return {"roll": roll}


def _rows_of(midi: Midi, instrument: Instrument, pitch: int) -> NoteRows:
    size = pitches(midi)
    if instrument["drum"]:
        drum = min(max(pitch - FIRST_DRUM, 0), DRUM_COUNT - 1)
        return NoteRows(4 * size + drum, -1)
    above = 2 * size if instrument["program"] in midi.voice_programs else 0
    row = above + fold_octave(pitch, midi.min_pitch, midi.max_pitch) - midi.min_pitch
    return NoteRows(row, row + size)


def _mark(
    roll: np.ndarray, row: NoteRows, begin: float, stop: float, strength: float, fading: float
) -> None:
    """Puts down a note that lasts from frame `begin` to `stop`, in parts of frames."""
    frames = roll.shape[1]
    first, last = int(np.floor(begin)), min(int(np.ceil(stop)), frames)
    if row.lasts >= 0:
        roll[row.lasts, max(first, 0) : last] = 1.0
    seen = np.arange(max(first, 0), min(first + int(5 * fading) + 1, frames))
    mark = strength * np.exp(-(seen - first) / max(fading, 1e-6), dtype=np.float32)
    roll[row.begins, seen] = np.maximum(roll[row.begins, seen], mark)
