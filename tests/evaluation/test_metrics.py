"""Metrics against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from jukebox_cli.evaluation.metrics import (
    MAX_SI_SDR_DB,
    METRICS,
    log_mel_distance,
    si_sdr,
    spectral_convergence,
    stft_distance,
)

RATE = 8000
TIME = np.arange(RATE) / RATE
SINE = np.sin(2 * np.pi * 100 * TIME).astype(np.float32)
COSINE = np.cos(2 * np.pi * 100 * TIME).astype(np.float32)
NOISE = np.random.default_rng(0).normal(0, 0.2, RATE).astype(np.float32)
SILENCE = np.zeros(RATE, np.float32)


def test_half_the_amplitude_is_an_error_of_half_the_signal() -> None:
    found = spectral_convergence(NOISE, 0.5 * NOISE, RATE)
    assert found == pytest.approx(20 * np.log10(0.5), abs=1e-3)


def test_silence_is_as_wrong_as_the_signal() -> None:
    assert spectral_convergence(NOISE, SILENCE, RATE) == pytest.approx(0, abs=1e-3)


def test_the_stft_distance_is_a_relative_and_a_logarithmic_error() -> None:
    found = stft_distance(NOISE, 0.5 * NOISE, RATE)
    assert found == pytest.approx(0.5 + np.log(2), abs=1e-3)


def test_a_tenth_of_the_power_is_a_log_mel_distance_of_a_bel() -> None:
    found = log_mel_distance(NOISE, np.float32(10**-0.5) * NOISE, RATE)
    assert found == pytest.approx(1, abs=0.02)  # a constant is added to the power


@pytest.mark.parametrize(("amplitude", "decibels"), [(1.0, 0), (0.1, 20), (0.01, 40)])
def test_si_sdr_is_the_ratio_of_signal_and_distortion(amplitude: float, decibels: float) -> None:
    noisy = SINE + np.float32(amplitude) * COSINE  # orthogonal
    assert si_sdr(SINE, noisy, RATE) == pytest.approx(decibels, abs=1e-3)


def test_si_sdr_ignores_scale_and_offset() -> None:
    noisy = SINE + np.float32(0.1) * COSINE
    assert si_sdr(SINE, 0.3 * noisy + 0.2, RATE) == pytest.approx(20, abs=1e-3)


@pytest.mark.parametrize(
    ("sound", "limit"), [(SINE, MAX_SI_SDR_DB), (SILENCE, -MAX_SI_SDR_DB), (COSINE, -MAX_SI_SDR_DB)]
)
def test_si_sdr_has_limits(sound: np.ndarray, limit: float) -> None:
    assert si_sdr(SINE, sound, RATE) == limit


@pytest.mark.parametrize("name", METRICS)
def test_a_copy_is_better_than_noise(name: str) -> None:
    metric = METRICS[name]
    copy, noisy = (metric.measure(SINE, SINE + n, RATE) for n in (SILENCE, NOISE))
    assert (copy > noisy) is metric.higher_is_better
