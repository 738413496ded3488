"""The reconstruction losses, against their formulas in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from jukebox_cli.audio.mel import mel_filterbank
from jukebox_cli.train.losses import (
    CONVERGENCE_RESOLUTION,
    RESOLUTIONS,
    STFTResolution,
    log_mel_loss,
    multi_resolution_log_mel_loss,
    spectral_convergence_db,
    spectral_loss,
    stft_magnitude,
    stft_magnitudes,
    waveform_loss,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain_magnitude(audio: np.ndarray, resolution: STFTResolution) -> np.ndarray:
    """|STFT| of (N,) by its definition: (n_fft // 2 + 1, frames)."""
    n_fft, hop_length, window_length = resolution
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_length) / window_length)
    left = (n_fft - window_length) // 2
    window = np.pad(window, (left, n_fft - window_length - left))
    padded = np.pad(audio, n_fft // 2)
    frames = [padded[i : i + n_fft] * window for i in range(0, len(audio) + 1, hop_length)]
    return np.abs(np.fft.rfft(np.stack(frames), axis=1)).T


def plain_magnitudes(audio: Tensor, resolution: STFTResolution) -> np.ndarray:
    """|STFT| of each row of (B, N)."""
    return np.stack([plain_magnitude(row, resolution) for row in audio.double().numpy()])


def plain_log_mel(audio: Tensor, resolution: STFTResolution, num_bands: int = 64) -> np.ndarray:
    """Log-mel spectrograms of (B, N) at 22.05 kHz, in bels."""
    full_scale = np.hanning(resolution.window_length + 1).sum() ** 2 / 4
    filterbank = mel_filterbank(22050, resolution.n_fft, num_bands).T
    power = np.square(plain_magnitudes(audio, resolution)) / full_scale
    bels: np.ndarray = np.log10(filterbank @ power + 1e-7)
    return bels


def test_the_multi_resolution_log_mel_loss_is_its_formula() -> None:
    target, audio = 0.1 * noise(2, 3000), 0.1 * noise(2, 3000, seed=1)
    expected = []
    for length, num_bands in ((128, 10), (256, 20), (512, 40), (1024, 80), (2048, 160)):
        each = STFTResolution(length, length // 4, length)
        x, y = (plain_log_mel(waveform, each, num_bands) for waveform in (target, audio))
        expected.append(np.abs(x - y).mean())
    got = multi_resolution_log_mel_loss(target, audio, 22050).item()
    assert got == pytest.approx(np.mean(expected), rel=1e-3)
    assert multi_resolution_log_mel_loss(target, target, 22050) == 0


def test_stft_magnitudes_are_those_of_numpy() -> None:
    audio = noise(2, 3000)
    got = stft_magnitude(audio, RESOLUTIONS[2]).numpy()
    np.testing.assert_allclose(got, plain_magnitudes(audio, RESOLUTIONS[2]), atol=2e-3)


def test_the_spectral_loss_is_its_formula() -> None:
    target, audio = noise(2, 3000), noise(2, 3000, seed=1)
    losses = []
    for resolution in RESOLUTIONS:
        x, y = plain_magnitudes(target, resolution), plain_magnitudes(audio, resolution)
        distance = np.sqrt(np.square(x - y).sum((1, 2))).mean()
        losses.append(distance / np.sqrt(np.square(x).sum((1, 2))).mean())
    loss = spectral_loss(stft_magnitudes(target), stft_magnitudes(audio))
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_log_mel_loss_is_its_formula() -> None:
    target, audio = noise(2, 3000), 0.01 * noise(2, 3000, seed=1)
    losses = [
        np.abs(plain_log_mel(target, resolution) - plain_log_mel(audio, resolution)).mean()
        for resolution in RESOLUTIONS
    ]
    loss = log_mel_loss(stft_magnitudes(target), stft_magnitudes(audio), 22050)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-4)


def test_the_log_mel_loss_of_a_tenth_of_the_amplitude_is_two_bels() -> None:
    audio = noise(2, 3000)
    loss = log_mel_loss(stft_magnitudes(audio), stft_magnitudes(0.1 * audio), 22050)
    assert loss.item() == pytest.approx(2.0, abs=1e-3)


def test_the_log_mel_loss_of_silence_has_a_finite_gradient() -> None:
    silence = torch.zeros(2, 3000, requires_grad=True)
    loss = log_mel_loss(stft_magnitudes(silence.detach()), stft_magnitudes(silence), 22050)
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert silence.grad is not None
    assert silence.grad.isfinite().all()


@pytest.mark.parametrize("scale", [1.0, 0.0], ids=["sound", "silence"])
def test_the_spectral_loss_of_equal_audio_is_0_with_a_finite_gradient(scale: float) -> None:
    target = scale * noise(2, 3000)
    equal = target.clone().requires_grad_()
    loss = spectral_loss(stft_magnitudes(target), stft_magnitudes(equal))
    torch.autograd.backward(loss)
    assert loss.item() == 0
    assert equal.grad is not None
    assert equal.grad.isfinite().all()


def test_the_spectral_loss_falls_along_its_gradient() -> None:
    target = stft_magnitudes(noise(2, 3000))
    audio = (0.1 * noise(2, 3000, seed=1)).requires_grad_()
    loss = spectral_loss(target, stft_magnitudes(audio))
    torch.autograd.backward(loss)
    assert audio.grad is not None
    step = 0.05 * audio.grad / audio.grad.norm()
    assert spectral_loss(target, stft_magnitudes((audio - step).detach())) < loss


@pytest.mark.parametrize("length", [50, 3000])
def test_the_waveform_loss_is_its_formula(length: int) -> None:
    target, audio = noise(3, length), noise(3, length, seed=1)
    error = np.square(target.double().numpy() - audio.double().numpy())
    worst = np.sort(error, axis=1)[:, -2048:].mean()
    expected = (error.mean() + 0.02 * worst) / target.double().numpy().var(ddof=1)
    assert waveform_loss(target, audio).item() == pytest.approx(expected, rel=1e-5)


def test_the_waveform_loss_of_silence_is_finite() -> None:
    assert waveform_loss(torch.zeros(1, 100), torch.ones(1, 100)).isfinite()


def test_spectral_convergence_is_its_formula() -> None:
    target, audio = noise(2, 4000), noise(2, 4000) + 0.1 * noise(2, 4000, seed=1)
    x, y = (plain_magnitudes(each, CONVERGENCE_RESOLUTION) for each in (target, audio))
    ratio = np.sqrt(np.square(x - y).sum((1, 2)) / np.square(x).sum((1, 2)))
    expected = (20 * np.log10(ratio)).mean()
    assert spectral_convergence_db(target, audio).item() == pytest.approx(expected, rel=1e-4)
    assert spectral_convergence_db(target, 0 * target).item() == pytest.approx(0, abs=1e-3)
    assert spectral_convergence_db(target, target).item() == pytest.approx(-120)
