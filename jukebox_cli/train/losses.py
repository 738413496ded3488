"""How far audio is from what it should be, and how it is told: (B, N) waveforms throughout."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from jukebox_cli.audio import mel

#: n_fft, hop and window of the paper's three spectrograms (section 3.2), in samples.
RESOLUTIONS = ((2048, 240, 1200), (1024, 120, 600), (512, 50, 240))

#: The bands of the log-mel loss, and the power that passes for silence (a full sine has 1).
BANDS, SILENCE = 64, 1e-7


def stft_magnitudes(audio: Tensor) -> list[Tensor]:
    """The magnitudes of a waveform at the paper's three resolutions."""
    return [stft_magnitude(audio, *resolution) for resolution in RESOLUTIONS]


def stft_magnitude(audio: Tensor, n_fft: int, hop: int, window: int) -> Tensor:
    """|STFT| of (B, N), Hann window: (B, n_fft // 2 + 1, frames)."""
    hann = torch.hann_window(window, device=audio.device)
    spectrum = torch.stft(audio, n_fft, hop, window, hann, return_complex=True, pad_mode="constant")
    return (spectrum.real.square() + spectrum.imag.square() + 1e-10).sqrt()


def spectral_loss(target: Sequence[Tensor], audio: Sequence[Tensor]) -> Tensor:
    """Multi-resolution spectral loss of two `spectra` (paper, section 3.2, equation 6).

    The norm of the difference of magnitudes, over the batch's mean norm of the target, so that
    quiet corpora do not learn slower; the mean over the three resolutions.
    """
    losses = []
    for wanted, got in zip(target, audio, strict=True):
        scale = wanted.flatten(1).norm(dim=1).mean().clamp_min(1e-3)
        losses.append((wanted - got).flatten(1).norm(dim=1).mean() / scale)
    return torch.stack(losses).mean()


def log_mel_loss(target: Sequence[Tensor], audio: Sequence[Tensor], sample_rate: int) -> Tensor:
    """The mean distance of two `spectra` in mel bands, in bels: the mean over the resolutions.

    The paper's losses are of magnitudes, so the loudest partials are nearly all they see; what is
    soft but heard, such as cymbals, breath and consonants, counts here as much as a bass.
    """
    losses = []
    for (n_fft, _, window), wanted, got in zip(RESOLUTIONS, target, audio, strict=True):
        bands = _bands(sample_rate, n_fft).to(wanted.device)
        full = (window / 4) ** 2  # the power of a full sine's line through a Hann window
        one, other = ((bands @ x.square() / full + SILENCE).log10() for x in (wanted, got))
        losses.append((one - other).abs().mean())
    return torch.stack(losses).mean()


@cache
def _bands(sample_rate: int, n_fft: int) -> Tensor:
    return torch.from_numpy(
        mel.mel_filterbank(sample_rate, n_fft, BANDS).T.copy()
    )  # (bands, lines)


def time_loss(target: Tensor, audio: Tensor, num_worst: int = 2048, weight: float = 0.02) -> Tensor:
    """The mixed time loss of (B, N) waveforms: squared error plus `share` times the mean of the
    `worst` squared errors of each example, both over the variance of the target.

    The released Jukebox calls it lmix.
    """
    error = (target - audio).square()
    peak = error.topk(min(num_worst, error.shape[1]), dim=1).values.mean()
    return (error.mean() + weight * peak) / target.var().clamp_min(1e-4)


def spectral_convergence_db(target: Tensor, got: Tensor) -> Tensor:
    """Spectral convergence of (B, N) waveforms, || |S| - |S'| || / || |S| ||, in dB, the mean over
    the batch; n_fft 2048, hop 256, window 1536 (the measure of the paper's tables 1 to 3)."""
    wanted, made = (stft_magnitude(x, 2048, 256, 1536).flatten(1) for x in (target, got))
    ratio = (wanted - made).norm(dim=1) / wanted.norm(dim=1).clamp_min(1e-3)
    return 20 * ratio.clamp_min(1e-6).log10().mean()
