"""The mel scale and its filter bank."""

from __future__ import annotations

import numpy as np
import pytest

from jukebox_cli.audio.mel import hz_to_mel, mel_center_frequencies, mel_filterbank, mel_to_hz


def test_1000_hz_are_1000_mel_and_the_scale_can_be_inverted() -> None:
    assert hz_to_mel(1000.0) == pytest.approx(1000.0, abs=0.1)
    frequencies = np.linspace(0, 20000, 101)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(frequencies)), frequencies, atol=1e-9)


def test_bands_are_evenly_spaced_in_mel_between_0_and_the_nyquist_frequency() -> None:
    centers = hz_to_mel(mel_center_frequencies(22050, 9))
    np.testing.assert_allclose(np.diff(centers), hz_to_mel(11025) / 10)
    assert centers[0] == pytest.approx(hz_to_mel(11025) / 10)


@pytest.mark.parametrize(("sample_rate", "n_fft", "n_mels"), [(22050, 1024, 64), (8000, 128, 80)])
def test_every_band_is_an_average_around_its_center(
    sample_rate: int, n_fft: int, n_mels: int
) -> None:
    filters = mel_filterbank(sample_rate, n_fft, n_mels)
    assert filters.shape == (n_fft // 2 + 1, n_mels)
    assert filters.dtype == np.float32
    assert (filters >= 0).all()
    np.testing.assert_allclose(filters.sum(axis=0), 1, rtol=1e-6)
    peaks = filters.argmax(axis=0) * sample_rate / n_fft
    centers = mel_center_frequencies(sample_rate, n_mels)
    assert np.abs(peaks - centers).max() <= sample_rate / n_fft
