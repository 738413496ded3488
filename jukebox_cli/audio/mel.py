"""The mel scale: pitch as it is heard, and the bands that sum a spectrum by it."""

from __future__ import annotations

import numpy as np


def hz_to_mel(hertz: np.ndarray | float) -> np.ndarray:
    """Pitch as it is heard (O'Shaughnessy 1987)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(hertz) / 700.0))


def mel_to_hz(mels: np.ndarray | float) -> np.ndarray:
    return np.asarray(700.0 * (10.0 ** (np.asarray(mels) / 2595.0) - 1.0))


def mel_center_frequencies(sample_rate: int, bands: int) -> np.ndarray:
    """The middle of each mel band in Hz, lowest first: (bands,)."""
    return mel_to_hz(hz_to_mel(sample_rate / 2) * (np.arange(bands) + 1) / (bands + 1))


def mel_filterbank(sample_rate: int, window: int, bands: int) -> np.ndarray:
    """Triangles that average a power spectrum over mel bands: float32 (window / 2 + 1, bands).

    Low bands are narrower than the spectrum can tell; they are as wide as it can.
    """
    lines = np.arange(window // 2 + 1) * sample_rate / window  # Hz
    middle = mel_center_frequencies(sample_rate, bands)
    spacing = hz_to_mel(sample_rate / 2) / (bands + 1)
    width = np.maximum(spacing, hz_to_mel(middle + sample_rate / window) - hz_to_mel(middle))
    triangles = np.maximum(0.0, 1.0 - np.abs(hz_to_mel(lines)[:, None] - hz_to_mel(middle)) / width)
    return np.asarray(triangles / triangles.sum(axis=0), np.float32)
