"""The network that reads a piano roll."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jukebox_plugins.midi.conditioner import Midi

from jukebox_cli.interfaces.conditioner import PriorShape, Song, Window
from support.midi_files import read_file

SHAPE = PriorShape(width=12, context_length=100, hop_length=80, sample_rate=8000)


def test_every_token_gets_a_vector(band: Path) -> None:
    torch.manual_seed(0)
    midi = Midi(width=16, depth=2)
    songs: list[Song] = [{"midi": read_file(band)}, {}]
    rolls = [midi.encode(song, Window(0, 8000, 80_000), SHAPE)["roll"] for song in songs]
    per_token = midi.module(SHAPE).eval()(torch.from_numpy(np.stack(rolls))).per_token
    assert per_token.shape == (2, 100, 12)
    assert not torch.allclose(per_token[0], per_token[1])
    # long after the last note all tokens are alike
    assert torch.allclose(per_token[0, 60:90], per_token[0, 59:89], atol=1e-6)
