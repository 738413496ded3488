"""Audio in the API."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from jukebox_cli.api.audio import decode_tokens, duration_seconds, read_audio, stream_audio
from jukebox_cli.api.models import load_codec
from jukebox_cli.model import codec
from jukebox_cli.storage.model import Model
from support.run_files import write_chord


def test_a_file_is_read_at_a_rate(tmp_path: Path) -> None:
    path = write_chord(tmp_path / "a.wav", 0.5, channels=2)
    assert duration_seconds(path) == 0.5
    assert read_audio(path, 8000).shape == (4000,)
    blocks = list(stream_audio(path, 16000))
    assert abs(sum(map(len, blocks)) - 8000) <= 1
    assert {block.dtype for block in blocks} == {np.dtype(np.float32)}


def test_tokens_are_decoded(tiny: Model) -> None:
    decoder = load_codec(tiny, torch.device("cpu"))
    tokens = np.arange(50) % 64
    sound = np.concatenate(list(decode_tokens(decoder, 2, tokens)))
    assert sound.shape == (800,)
    assert np.array_equal(sound, np.concatenate(list(codec.decode(decoder, 2, tokens))))
    assert sum(map(len, decode_tokens(decoder, 2, tokens, 790))) == 790
