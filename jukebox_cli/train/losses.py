"""Reconstruction losses of the autoencoders, for waveforms (B, N) in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from jukebox_cli.audio import mel


class STFTResolution(NamedTuple):
    """The settings of a short-time Fourier transform, in samples."""

    n_fft: int
    hop_length: int
    window_length: int


#: Those of the spectral loss (paper, section 3.3 and the hyperparameters in appendix B).
RESOLUTIONS = (
    STFTResolution(2048, 240, 1200),
    STFTResolution(1024, 120, 600),
    STFTResolution(512, 50, 240),
)

#: That of the spectral convergence (paper, tables 1 to 3).
CONVERGENCE_RESOLUTION = STFTResolution(2048, 256, 1536)

NUM_MEL_BANDS = 64

#: Window lengths in samples and numbers of bands of the multi-resolution log-mel loss.
MEL_RESOLUTIONS = ((128, 10), (256, 20), (512, 40), (1024, 80), (2048, 160))
MEL_POWER_FLOOR = 1e-7  # added to the power of a mel band, where a full-scale sine has 1


def stft_magnitudes(audio: Tensor) -> list[Tensor]:
    """Magnitude spectrograms of (B, N) at each of `RESOLUTIONS`: (B, n_fft // 2 + 1, frames)."""
    return [stft_magnitude(audio, resolution) for resolution in RESOLUTIONS]


def stft_magnitude(audio: Tensor, resolution: STFTResolution) -> Tensor:
    """|STFT| of (B, N) with a Hann window: (B, n_fft // 2 + 1, frames)."""
    n_fft, hop_length, window_length = resolution
    window = torch.hann_window(window_length, device=audio.device)
    spectrum = torch.stft(
        audio, n_fft, hop_length, window_length, window, return_complex=True, pad_mode="constant"
    )
    # the small constant keeps the gradient of the root finite in silence
    return (spectrum.real.square() + spectrum.imag.square() + 1e-10).sqrt()


def spectral_loss(target: Sequence[Tensor], reconstruction: Sequence[Tensor]) -> Tensor:
    """Multi-resolution spectral loss: || |STFT(x)| - |STFT(x')| ||_2, averaged over resolutions.

    The arguments are results of `stft_magnitudes`; the loss has shape (). The norm is divided by
    the mean norm of the batch's targets (in the original program, of the data set's), so that quiet
    recordings are not learned more slowly. Source: paper, section 3.3.
    """
    losses = []
    for x, y in zip(target, reconstruction, strict=True):
        scale = x.flatten(1).norm(dim=1).mean().clamp_min(1e-3)
        losses.append((x - y).flatten(1).norm(dim=1).mean() / scale)
    return torch.stack(losses).mean()


def log_mel_loss(
    target: Sequence[Tensor], reconstruction: Sequence[Tensor], sample_rate: int
) -> Tensor:
    """Mean absolute difference of log-mel spectrograms, in bels (factors of 10 in power).

    The arguments are results of `stft_magnitudes`; the loss has shape (). It is not in the paper,
    whose losses compare magnitudes and are dominated by the loudest partials. On a logarithmic
    scale, quiet sounds such as cymbals, breath and consonants count as much as a bass.
    """
    losses = [
        (_log_mel(x, each, sample_rate) - _log_mel(y, each, sample_rate)).abs().mean()
        for each, x, y in zip(RESOLUTIONS, target, reconstruction, strict=True)
    ]
    return torch.stack(losses).mean()


def multi_resolution_log_mel_loss(
    target: Tensor, reconstruction: Tensor, sample_rate: int
) -> Tensor:
    """Mean absolute difference of log-mel spectrograms of (B, N) waveforms at `MEL_RESOLUTIONS`, in
    bels, shape ().

    Short windows see transients and long ones harmonics. Source: Kumar et al. 2023, "High-Fidelity
    Audio Compression with Improved RVQGAN", section 3.4.
    """
    losses = []
    for window_length, num_bands in MEL_RESOLUTIONS:
        each = STFTResolution(window_length, window_length // 4, window_length)
        x, y = (
            _log_mel(stft_magnitude(audio, each), each, sample_rate, num_bands)
            for audio in (target, reconstruction)
        )
        losses.append((x - y).abs().mean())
    return torch.stack(losses).mean()


def _log_mel(
    magnitudes: Tensor, resolution: STFTResolution, sample_rate: int, num_bands: int = NUM_MEL_BANDS
) -> Tensor:
    """(B, n_fft // 2 + 1, frames) -> the log10 of the power of mel bands (B, num_bands, frames)."""
    filterbank = _mel_filterbank(sample_rate, resolution.n_fft, num_bands, magnitudes.device)
    # the power of a full-scale sine at the peak of its Hann-windowed spectrum
    full_scale = (resolution.window_length / 4) ** 2
    return (filterbank @ magnitudes.square() / full_scale + MEL_POWER_FLOOR).log10()


@cache  # on the device, since a copy to a GPU would wait for it
def _mel_filterbank(sample_rate: int, n_fft: int, num_bands: int, device: torch.device) -> Tensor:
    """(num_bands, n_fft // 2 + 1)"""
    filterbank = mel.mel_filterbank(sample_rate, n_fft, num_bands)
    return torch.from_numpy(filterbank.T.copy()).to(device)


def waveform_loss(
    target: Tensor, reconstruction: Tensor, num_worst: int = 2048, worst_weight: float = 0.02
) -> Tensor:
    """Squared error of (B, N) waveforms over the variance of the target, shape ().

    `worst_weight` times the mean of the `num_worst` largest squared errors of each example is added
    to the mean over all samples. It is `lmix` of the original program; the paper (section 2,
    equation 2) has the mean alone.
    """
    error = (target - reconstruction).square()
    worst = error.topk(min(num_worst, error.shape[1]), dim=1).values.mean()
    return (error.mean() + worst_weight * worst) / target.var().clamp_min(1e-4)


def spectral_convergence_db(target: Tensor, reconstruction: Tensor) -> Tensor:
    """Spectral convergence || |S| - |S'| || / || |S| || of (B, N) waveforms, in dB, shape ().

    The mean over the batch of 20 log10 of the ratio; lower is better. 0 dB is an error as large as
    the signal. It is the metric of the paper's tables 1 to 3 (n_fft 2048, hop 256, window 1536).
    """
    x, y = (
        stft_magnitude(audio, CONVERGENCE_RESOLUTION).flatten(1)
        for audio in (target, reconstruction)
    )
    ratio = (x - y).norm(dim=1) / x.norm(dim=1).clamp_min(1e-3)
    return 20 * ratio.clamp_min(1e-6).log10().mean()
