"""The mel scale, and the filter bank that turns a power spectrum into mel bands."""

from __future__ import annotations

import numpy as np


def hz_to_mel(frequencies: np.ndarray | float) -> np.ndarray:
    """Frequencies in Hz on the mel scale (O'Shaughnessy 1987; librosa's `htk=True`)."""
    return np.asarray(2595.0 * np.log10(1.0 + np.asarray(frequencies) / 700.0))


def mel_to_hz(mels: np.ndarray | float) -> np.ndarray:
    """Frequencies in Hz from the mel scale."""
    return np.asarray(700.0 * (10.0 ** (np.asarray(mels) / 2595.0) - 1.0))


def mel_center_frequencies(sample_rate: int, n_mels: int) -> np.ndarray:
    """Center frequency of each mel band in Hz, ascending: float64 (n_mels,).

    The bands are evenly spaced on the mel scale from 0 to the Nyquist frequency.
    """
    return mel_to_hz(hz_to_mel(sample_rate / 2) * (np.arange(n_mels) + 1) / (n_mels + 1))


def mel_filterbank(sample_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Triangular filters that average a power spectrum over mel bands: float32 (n_fft / 2 + 1,
    n_mels), each column with a sum of 1.

    A band that is narrower than the resolution of the spectrum is widened to it, so that no column
    is empty.
    """
    frequencies = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    centers = mel_center_frequencies(sample_rate, n_mels)
    spacing = hz_to_mel(sample_rate / 2) / (n_mels + 1)
    width = np.maximum(spacing, hz_to_mel(centers + sample_rate / n_fft) - hz_to_mel(centers))
    distance = np.abs(hz_to_mel(frequencies)[:, None] - hz_to_mel(centers))
    triangles = np.maximum(0.0, 1.0 - distance / width)
    return np.asarray(triangles / triangles.sum(axis=0), np.float32)
