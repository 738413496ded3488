"""Notes -> a piano roll with one column per token of a window.

Rows, from the top, with P pitches from `min_pitch` to `max_pitch`:

    P   onsets of instruments
    P   sounding notes of instruments
    P   onsets of voices
    P   sounding notes of voices
    47  onsets of General MIDI drums
    1   whether notes were given at all

An onset starts at velocity / 127 and decays exponentially, so that a prior can tell how long ago it
was. A sounding note is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jukebox_cli.api import PriorShape, Window

from .notes import Instrument, fold_octave

if TYPE_CHECKING:
    from .conditioner import Midi

#: Pitches of General MIDI's drums, from the acoustic bass drum to the open triangle.
FIRST_DRUM, NUM_DRUMS = 35, 47
#: An onset is cut off after this many times its decay.
DECAYS = 5


class NoteRows(NamedTuple):
    """The rows of a note; `sounding` is None for drums."""

    onset: int
    sounding: int | None


def num_rows(midi: Midi) -> int:
    """Rows of the piano roll."""
    return 4 * num_pitches(midi) + NUM_DRUMS + 1


def num_pitches(midi: Midi) -> int:
    return midi.max_pitch - midi.min_pitch + 1


def piano_roll(
    midi: Midi, instruments: Sequence[Instrument] | None, window: Window, shape: PriorShape
) -> np.ndarray:
    """The piano roll of a window, float32 (rows, T), all zeros if `instruments` is None."""
    roll = np.zeros((num_rows(midi), shape.context_length), np.float32)
    if instruments is None:
        return roll
    roll[-1] = 1.0
    tokens_per_second = shape.sample_rate / shape.hop_length
    first_token = window.start / shape.hop_length
    decay_tokens = midi.onset_decay * tokens_per_second
    for instrument in instruments:
        for start, end, pitch, velocity in instrument["notes"]:
            onset, release = (s * tokens_per_second - first_token for s in (start, end))
            if release > 0 and onset < shape.context_length:
                rows = _note_rows(midi, instrument, int(pitch))
                _add_note(roll, rows, onset, release, velocity / 127, decay_tokens)
    return roll


def _note_rows(midi: Midi, instrument: Instrument, pitch: int) -> NoteRows:
    pitches = num_pitches(midi)
    if instrument["drum"]:
        drum = min(max(pitch - FIRST_DRUM, 0), NUM_DRUMS - 1)
        return NoteRows(4 * pitches + drum, None)
    first = 2 * pitches if instrument["program"] in midi.voice_programs else 0
    row = first + fold_octave(pitch, midi.min_pitch, midi.max_pitch) - midi.min_pitch
    return NoteRows(row, row + pitches)


def _add_note(
    roll: np.ndarray,
    rows: NoteRows,
    onset: float,
    release: float,
    strength: float,
    decay_tokens: float,
) -> None:
    """Add a note from `onset` to `release`, in tokens and fractions of them, to a piano roll."""
    num_tokens = roll.shape[1]
    first, last = int(np.floor(onset)), min(int(np.ceil(release)), num_tokens)
    if rows.sounding is not None:
        roll[rows.sounding, max(first, 0) : last] = 1.0
    tokens = np.arange(max(first, 0), min(first + int(DECAYS * decay_tokens) + 1, num_tokens))
    level = strength * np.exp(-(tokens - first) / max(decay_tokens, 1e-6), dtype=np.float32)
    roll[rows.onset, tokens] = np.maximum(roll[rows.onset, tokens], level)
