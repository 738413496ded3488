"""Sound as a picture: a mel spectrogram, in colours of even steps, as a PNG."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from jukebox_cli.audio.io import Audio
from jukebox_cli.audio.mel import centres, filters

WIDTH, HEIGHT = 960, 128  # columns at most, and mel bands
WINDOW = 0.046  # seconds that a spectrum is of
RANGE = 75.0  # dB below the loudest that can be told from silence
SHADES = 64
FRAMES_AT_ONCE = 256


class MelSpectrogram:
    """Takes in a sound block by block; memory does not grow with its length."""

    def __init__(self, sample_rate: int, samples: int) -> None:
        self.sample_rate, self.samples = sample_rate, max(1, samples)
        self.window = 1 << max(4, round(np.log2(WINDOW * sample_rate)))
        self.hop = max(1, min(self.window // 4, self.samples // WIDTH))
        self.columns = min(WIDTH, self.samples)
        self._filters = filters(sample_rate, self.window, HEIGHT)
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
        return png(np.round(share[::-1] * (SHADES - 1)).astype(np.uint8), palette(SHADES))

    def words(self) -> str:
        """What can be seen, for who can't see it."""
        if self.silent:
            return "nothing but silence"
        power = 10.0 ** (self.decibels / 10.0)
        strongest = centres(self.sample_rate, HEIGHT)[int(power.mean(axis=1).argmax())]
        column = int(power.mean(axis=0).argmax()) + 0.5
        at = column / self.decibels.shape[1] * self.samples / self.sample_rate
        return f"most of its power is near {strongest:,.0f} Hz, and it is loudest at {at:.1f} s"


@cache
def palette(shades: int) -> np.ndarray:
    """Night blue over violet and orange to pale yellow, uint8 (shades, 3).

    Even steps of lightness in OKLab (https://bottosson.github.io/posts/oklab/), so that twice the
    difference in loudness looks twice as different, in grey and to the colour-blind too.
    """
    share = np.linspace(0.0, 1.0, shades)
    lightness = 0.16 + 0.81 * share
    chroma = 0.035 + 0.145 * np.sin(np.pi * share**0.9) ** 1.2
    hue = np.deg2rad(280.0 + 175.0 * share)
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    return np.round(255.0 * oklab_to_srgb(np.stack([lightness, a, b], axis=1))).astype(np.uint8)


def oklab_to_srgb(colours: np.ndarray) -> np.ndarray:
    """(N, 3) -> (N, 3) in 0 .. 1; what a screen can't show is cut off."""
    to_cones = [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728]]
    to_cones.append([1, -0.0894841775, -1.2914855480])
    to_rgb = [[4.0767416621, -3.3077115913, 0.2309699292]]
    to_rgb.append([-1.2684380046, 2.6097574011, -0.3413193965])
    to_rgb.append([-0.0041960863, -0.7034186147, 1.7076147010])
    linear = np.clip((colours @ np.array(to_cones).T) ** 3 @ np.array(to_rgb).T, 0.0, 1.0)
    curved = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, curved))


def png(pixels: np.ndarray, colours: np.ndarray) -> bytes:
    """uint8 (H, W), each the number of one of `colours`, uint8 (N, 3) -> a PNG file."""
    height, width = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)  # 8 bits, of a palette
    rows = np.pad(pixels, ((0, 0), (1, 0)))  # before each row, how it is filtered: not at all
    parts = [(b"IHDR", header), (b"PLTE", colours.tobytes())]
    parts += [(b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
