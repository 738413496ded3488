"""The piano roll of a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jukebox_plugins.midi.conditioner import Midi
from jukebox_plugins.midi.piano_roll import num_rows, piano_roll

from jukebox_cli.interfaces.conditioner import PriorShape, Window
from support.midi_files import read_file

#: A token is a hundredth of a second.
SHAPE = PriorShape(width=12, context_length=100, hop_length=80, sample_rate=8000)


def roll(instruments: Any, start: int = 0, **fields: Any) -> np.ndarray:
    """The piano roll of the window of one second from sample `start`."""
    return piano_roll(Midi(**fields), instruments, Window(start, 8000, 80_000), SHAPE)


def test_notes_have_rows_for_onset_and_duration(band: Path) -> None:
    notes = roll(read_file(band), onset_decay=0.05)
    assert notes.shape == (num_rows(Midi()), 100)
    pitches, first_voice = 88, 2 * 88
    piano, voice, drum = 60 - 21, first_voice + 72 - 21, 4 * 88 + 38 - 35
    for onset in (piano, voice, drum):
        assert not notes[onset, :10].any()
        assert notes[onset, 10] == 1
        assert notes[onset, 15] == pytest.approx(np.exp(-1))
    for sounding in (piano + pitches, voice + pitches):
        assert notes[sounding].nonzero()[0].tolist() == list(range(10, 30))
    assert (notes[-1] == 1).all()
    bass = 36 - 21
    used = {piano, piano + 88, voice, voice + 88, bass, bass + 88, drum, num_rows(Midi()) - 1}
    assert set(notes.any(axis=1).nonzero()[0]) == used


def test_an_onset_is_as_strong_as_its_velocity() -> None:
    instrument = {"program": 0, "drum": False, "notes": [[0.1, 0.3, 60, 64]]}
    assert roll([instrument])[60 - 21, 10] == pytest.approx(64 / 127)


def test_a_window_has_the_notes_inside_it(band: Path) -> None:
    whole, later = roll(read_file(band)), roll(read_file(band), start=15 * 80)
    assert np.array_equal(whole[:, 15:], later[:, :85])
    assert not roll(read_file(band), start=9000)[:-1].any()


def test_no_notes_differ_from_silence() -> None:
    assert not roll(None).any()
    assert roll([]).any()  # silence was given
