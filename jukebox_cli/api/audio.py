"""Sound for plugins: reading, resampling, mel bands, and decoding of tokens.

Sound is float32, mono, shape (N,), in -1 .. 1. Imports numpy; torch only when tokens are decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.audio.io import (
    Audio,
    duration_seconds,
    read_audio,
    resample_stream,
    stream_audio,
)
from jukebox_cli.audio.mel import hz_to_mel, mel_center_frequencies, mel_filterbank

if TYPE_CHECKING:
    from jukebox_cli.model.codec import Codec

__all__ = [
    "Audio",
    "decode_tokens",
    "duration_seconds",
    "hz_to_mel",
    "mel_center_frequencies",
    "mel_filterbank",
    "read_audio",
    "resample_stream",
    "stream_audio",
]


def decode_tokens(
    codec: Codec, level: int, tokens: np.ndarray, num_samples: int | None = None
) -> Iterator[Audio]:
    """The sound of tokens (T,) of one level, in blocks, at the model's sample rate.

    Memory does not grow with T, and no seam can be told between blocks.

    :param codec: from `jukebox_cli.api.models.load_codec`.
    :param num_samples: samples in all; T * hop_length if None.
    """
    from jukebox_cli.model.codec import decode

    return decode(codec, level, tokens, num_samples)
