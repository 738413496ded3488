"""A mel spectrogram of a sound, as an image."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jukebox_cli.api.audio import Audio, mel_center_frequencies, mel_filterbank

from .colours import MAGMA

#: Size of the image in pixels: columns at most, and mel bands.
WIDTH, HEIGHT = 960, 128
#: Length of the analysis window in seconds; it is rounded to a power of two of samples.
WINDOW_SECONDS = 0.046
#: Decibels below the loudest band that are shown; what is quieter is black.
DYNAMIC_RANGE = 75.0
NUM_COLOURS = len(MAGMA) // 3
FRAMES_PER_BATCH = 256


class MelSpectrogram:
    """Accumulates a sound block by block, in memory that does not grow with its length."""

    def __init__(self, sample_rate: int, num_samples: int) -> None:
        """`num_samples`: the length of the whole sound."""
        self.sample_rate, self.num_samples = sample_rate, max(1, num_samples)
        self.window = 1 << max(4, round(np.log2(WINDOW_SECONDS * sample_rate)))
        self.hop_length = max(1, min(self.window // 4, self.num_samples // WIDTH))
        self.num_columns = min(WIDTH, self.num_samples)
        self._filters = mel_filterbank(sample_rate, self.window, HEIGHT)
        self._taper = np.hanning(self.window + 1)[:-1].astype(np.float32)
        self._power = np.zeros((self.num_columns, HEIGHT))
        self._counts = np.zeros(self.num_columns)
        self._pending = np.zeros(self.window // 2, np.float32)  # so that frames are centred
        self._num_frames = 0

    def add(self, block: Audio) -> None:
        """Add the next samples, float32 (N,)."""
        pending = np.concatenate([self._pending, block])
        num_frames = max(0, (len(pending) - self.window) // self.hop_length + 1)
        for first in range(0, num_frames, FRAMES_PER_BATCH):
            self._add_frames(pending, first, min(FRAMES_PER_BATCH, num_frames - first))
        self._num_frames += num_frames
        self._pending = pending[num_frames * self.hop_length :]

    def finish(self) -> MelImage:
        """The spectrogram of all that was added."""
        self.add(np.zeros(self.window, np.float32))
        mean = self._power / np.maximum(1, self._counts)[:, None]
        decibels = 10.0 * np.log10(np.maximum(mean, 1e-10))
        return MelImage(decibels.T.astype(np.float32), self.sample_rate, self.num_samples)

    def _add_frames(self, pending: Audio, first: int, count: int) -> None:
        """Add the power of `count` frames to the columns that their centres lie in."""
        views = np.lib.stride_tricks.sliding_window_view(pending, self.window)
        windows = views[
            first * self.hop_length : (first + count - 1) * self.hop_length + 1 : self.hop_length
        ]
        power = np.abs(np.fft.rfft(windows * self._taper, axis=1)).astype(np.float32) ** 2
        centres = (self._num_frames + first + np.arange(count)) * self.hop_length
        columns = np.minimum(centres * self.num_columns // self.num_samples, self.num_columns - 1)
        np.add.at(self._power, columns, power @ self._filters)
        np.add.at(self._counts, columns, 1)


@dataclass(frozen=True)
class MelImage:
    """A mel spectrogram.

    decibels: float32 (bands, columns), the lowest band first.
    num_samples: the length of the sound at `sample_rate` Hz.
    """

    decibels: np.ndarray
    sample_rate: int
    num_samples: int

    @property
    def is_silent(self) -> bool:
        return bool(self.decibels.max() <= self.decibels.min())

    def png(self) -> bytes:
        """The image: louder is brighter, and high is up."""
        range_db = self.decibels - (self.decibels.max() - DYNAMIC_RANGE)
        level = (
            np.zeros_like(range_db)
            if self.is_silent
            else np.clip(range_db / DYNAMIC_RANGE, 0.0, 1.0)
        )
        return encode_png(np.round(level[::-1] * (NUM_COLOURS - 1)).astype(np.uint8))

    def description(self) -> str:
        """What the image shows, for readers who can't see it."""
        if self.is_silent:
            return "nothing but silence"
        power = 10.0 ** (self.decibels / 10.0)
        band = int(power.mean(axis=1).argmax())
        strongest = mel_center_frequencies(self.sample_rate, HEIGHT)[band]
        column = int(power.mean(axis=0).argmax()) + 0.5
        seconds = column / self.decibels.shape[1] * self.num_samples / self.sample_rate
        return (
            f"most of its power is near {strongest:,.0f} Hz, and it is loudest at {seconds:.1f} s"
        )


def encode_png(indices: np.ndarray) -> bytes:
    """A PNG of pixels uint8 (H, W), which are indices of the colours of MAGMA."""
    image = Image.fromarray(indices)
    image.putpalette(MAGMA)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
