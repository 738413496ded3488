"""Measures of a reconstruction against its target: waveforms (N,) at one sample rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.audio.io import Audio
from jukebox_cli.train.losses import (
    log_mel_loss,
    spectral_convergence_db,
    spectral_loss,
    stft_magnitudes,
)

#: SI-SDR is at most so many dB, and at least their negative: a perfect copy has no distortion.
MAX_SI_SDR_DB = 120.0


class Metric(NamedTuple):
    """A measure by its name, for tables and JSON.

    measure: (target, reconstruction, sample rate in Hz) -> the value.
    """

    title: str
    unit: str
    higher_is_better: bool
    measure: Callable[[Audio, Audio, int], float]


def spectral_convergence(target: Audio, reconstruction: Audio, sample_rate: int) -> float:
    """Spectral convergence in dB, as `train.losses.spectral_convergence_db`, which training logs.

    20 log10 of || |S| - |S'| || / || |S| ||, with n_fft 2048, hop 256 and window 1536; 0 dB is as
    wrong as silence. Source: Jukebox, tables 1 to 3.
    """
    return float(spectral_convergence_db(_batch(target), _batch(reconstruction)))


def stft_distance(target: Audio, reconstruction: Audio, sample_rate: int) -> float:
    """Multi-resolution STFT distance, 0 for a perfect copy.

    The mean over the three resolutions of the codec's loss of || |S| - |S'| || / || |S| || plus the
    mean of |ln |S| - ln |S'||. Source: Yamamoto et al., Parallel WaveGAN, 2020, equations 4 to 6.
    """
    x, y = stft_magnitudes(_batch(target)), stft_magnitudes(_batch(reconstruction))
    logs = [(a.log() - b.log()).abs().mean() for a, b in zip(x, y, strict=True)]
    return float(spectral_loss(x, y) + torch.stack(logs).mean())


def log_mel_distance(target: Audio, reconstruction: Audio, sample_rate: int) -> float:
    """Mean absolute difference of log-mel spectrograms in bels, as `train.losses.log_mel_loss`,
    which training logs: 64 bands, three resolutions."""
    spectra = stft_magnitudes(_batch(target)), stft_magnitudes(_batch(reconstruction))
    return float(log_mel_loss(*spectra, sample_rate))


def si_sdr(target: Audio, reconstruction: Audio, sample_rate: int) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, within +-MAX_SI_SDR_DB.

    10 log10 of ||a x||^2 / ||a x - y||^2, where a x is the projection of the reconstruction y onto
    the target x, both without their means. It depends on phases, which a codec trained on
    spectra need not keep. Source: Le Roux et al., SDR - half-baked or well done?, 2019, equation 5.
    """
    x, y = (np.float64(each) - np.mean(each, dtype=np.float64) for each in (target, reconstruction))
    projection = x * (np.dot(x, y) / max(np.dot(x, x), 1e-20))
    signal, distortion = np.square(projection).sum(), np.square(projection - y).sum()
    smallest = 10 ** (-MAX_SI_SDR_DB / 10)
    if signal <= smallest * distortion or signal == 0:
        return -MAX_SI_SDR_DB
    return float(10 * np.log10(signal / max(distortion, smallest * signal)))


#: The measures, in the order of the table. One more is a function and a line here.
METRICS = {
    "spectral_convergence": Metric("conv.", "dB", False, spectral_convergence),
    "stft_distance": Metric("STFT", "", False, stft_distance),
    "log_mel_distance": Metric("log-mel", "B", False, log_mel_distance),
    "si_sdr": Metric("SI-SDR", "dB", True, si_sdr),
}


def _batch(audio: Audio) -> Tensor:
    """(N,) -> (1, N)"""
    return torch.from_numpy(np.asarray(audio, np.float32))[None]
