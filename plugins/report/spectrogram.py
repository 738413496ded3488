"""Sound as a picture: a mel spectrogram as a PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from jukebox_cli.audio.io import Audio
from jukebox_cli.audio.mel import mel_center_frequencies, mel_filterbank

from .colours import MAGMA

WIDTH, HEIGHT = 960, 128  # columns at most, and mel bands
WINDOW = 0.046  # seconds that a spectrum is of
RANGE = 75.0  # dB below the loudest that can be told from silence
SHADES = len(MAGMA) // 3
FRAMES_AT_ONCE = 256


class MelSpectrogram:
    """Takes in a sound block by block; memory does not grow with its length."""

    def __init__(self, sample_rate: int, samples: int) -> None:
        self.sample_rate, self.samples = sample_rate, max(1, samples)
        self.window = 1 << max(4, round(np.log2(WINDOW * sample_rate)))
        self.hop = max(1, min(self.window // 4, self.samples // WIDTH))
        self.columns = min(WIDTH, self.samples)
        self._filters = mel_filterbank(sample_rate, self.window, HEIGHT)
        self._taper = np.hanning(self.window + 1)[:-1].astype(np.float32)
        self._power = np.zeros((self.columns, HEIGHT))
        self._count = np.zeros(self.columns)
        self._held = np.zeros(self.window // 2, np.float32)  # so that frames are centred
        self._frame = 0

    def add(self, block: Audio) -> None:
        """The next samples, float32 (N,)."""
        held = np.concatenate([self._held, block])
        frames = max(0, (len(held) - self.window) // self.hop + 1)
        for first in range(0, frames, FRAMES_AT_ONCE):
            self._sum(held, first, min(FRAMES_AT_ONCE, frames - first))
        self._frame += frames
        self._held = held[frames * self.hop :]

    def _sum(self, held: Audio, first: int, count: int) -> None:
        views = np.lib.stride_tricks.sliding_window_view(held, self.window)
        cut = views[first * self.hop : (first + count - 1) * self.hop + 1 : self.hop]
        power = np.abs(np.fft.rfft(cut * self._taper, axis=1)).astype(np.float32) ** 2
        middles = (self._frame + first + np.arange(count)) * self.hop
        columns = np.minimum(middles * self.columns // self.samples, self.columns - 1)
        np.add.at(self._power, columns, power @ self._filters)
        np.add.at(self._count, columns, 1)

    def finish(self) -> Mel:
        self.add(np.zeros(self.window, np.float32))
        mean = self._power / np.maximum(1, self._count)[:, None]
        decibels = 10.0 * np.log10(np.maximum(mean, 1e-10))
        return Mel(decibels.T.astype(np.float32), self.sample_rate, self.samples)


@dataclass(frozen=True)
class Mel:
    """What a sound looks like: decibels (bands, columns), the lowest band first."""

    decibels: np.ndarray
    sample_rate: int
    samples: int

    @property
    def silent(self) -> bool:
        return bool(self.decibels.max() <= self.decibels.min())

    def png(self) -> bytes:
        """Louder is brighter; high is up."""
        above = self.decibels - (self.decibels.max() - RANGE)
        share = np.zeros_like(above) if self.silent else np.clip(above / RANGE, 0.0, 1.0)
        return png(np.round(share[::-1] * (SHADES - 1)).astype(np.uint8))

    def words(self) -> str:
        """What can be seen, for who can't see it."""
        if self.silent:
            return "nothing but silence"
        power = 10.0 ** (self.decibels / 10.0)
        strongest = mel_center_frequencies(self.sample_rate, HEIGHT)[
            int(power.mean(axis=1).argmax())
        ]
        column = int(power.mean(axis=0).argmax()) + 0.5
        at = column / self.decibels.shape[1] * self.samples / self.sample_rate
        return f"most of its power is near {strongest:,.0f} Hz, and it is loudest at {at:.1f} s"


def png(shades: np.ndarray) -> bytes:
    """A PNG file of a picture, uint8 (H, W), whose pixels are indices of colours of MAGMA."""
    image = Image.fromarray(shades)
    image.putpalette(MAGMA)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
