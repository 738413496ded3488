"""Discriminators that tell decoded audio from recordings, and their losses.

Each looks at one view of a waveform: folded by a period (HiFi-GAN: Kong et al. 2020, section 2.3),
or its complex spectrogram at one resolution in frequency bands (Descript Audio Codec: Kumar et al.
2023, section 3.3). They are small, so that a step takes little longer than that of the decoder.

Shapes: B batch, N samples, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

PERIODS = (2, 3, 5, 7, 11)
PERIOD_CHANNELS = (16, 32, 64, 128)

#: Window lengths of the spectrograms, in samples.
WINDOW_LENGTHS = (2048, 1024, 512)
#: Edges of their frequency bands, as fractions of the Nyquist frequency.
BAND_EDGES = (0.0, 0.1, 0.25, 0.5, 1.0)
BAND_CHANNELS = 32
#: Added to the power of a spectrogram before its root is taken.
POWER_FLOOR = 1e-5

LEAKY_SLOPE = 0.1

#: What a discriminator computes of a batch: the outputs of its layers. The last is its judgement, 1
#: for a recording and 0 for decoded audio.
Features = list[Tensor]


class PeriodDiscriminator(nn.Module):
    """Audio (B, 1, N) -> features, with samples a period apart seen side by side."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period
        channels = (1, *PERIOD_CHANNELS)
        self.layers = nn.ModuleList(
            _convolution(inputs, outputs, (5, 1), (3, 1)) for inputs, outputs in pairwise(channels)
        )
        self.layers.append(_convolution(channels[-1], channels[-1], (5, 1)))
        self.out = _convolution(channels[-1], 1, (3, 1))

    def forward(self, audio: Tensor) -> Features:
        audio = F.pad(audio, (0, -audio.shape[-1] % self.period), "reflect")
        features = _activations(self.layers, audio.unflatten(2, (-1, self.period)))
        return [*features, self.out(features[-1])]


class SpectrogramDiscriminator(nn.Module):
    """Audio (B, 1, N) -> features of its complex spectrogram, band by band.

    Magnitudes are compressed by a square root: treble is far weaker than bass, and would hardly
    be seen.
    """

    window: Tensor  # (window_length,)

    def __init__(self, window_length: int) -> None:
        super().__init__()
        self.window_length = window_length
        self.register_buffer("window", torch.hann_window(window_length), persistent=False)
        num_bins = window_length // 2 + 1
        self.edges = [round(edge * num_bins) for edge in BAND_EDGES]
        self.bands = nn.ModuleList(_band_layers() for _ in pairwise(self.edges))
        self.out = _convolution(BAND_CHANNELS, 1, (3, 3))

    def forward(self, audio: Tensor) -> Features:
        spectrogram = self._spectrogram(audio)
        features: Features = []
        ends = []
        for (low, high), layers in zip(pairwise(self.edges), self.bands, strict=True):
            assert isinstance(layers, nn.ModuleList)
            features += _activations(layers, spectrogram[..., low:high])
            ends.append(features[-1])
        return [*features, self.out(torch.cat(ends, 3))]

    def _spectrogram(self, audio: Tensor) -> Tensor:
        """(B, 1, N) -> real and imaginary part (B, 2, frames, bins), magnitudes compressed."""
        with torch.autocast(audio.device.type, enabled=False):
            length = self.window_length
            spectrum = torch.stft(
                audio[:, 0].float(), length, length // 4, window=self.window, return_complex=True,
                pad_mode="constant", normalized=True,
            )  # fmt: skip
            parts = torch.view_as_real(spectrum).permute(0, 3, 2, 1)
            power = parts.square().sum(1, keepdim=True) + POWER_FLOOR
            return parts * power.pow(-0.25)


class Discriminators(nn.Module):
    """Audio (B, 1, N) -> the features of every discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(period) for period in PERIODS)
        self.spectrograms = nn.ModuleList(
            SpectrogramDiscriminator(length) for length in WINDOW_LENGTHS
        )

    def forward(self, audio: Tensor) -> list[Features]:
        return [each(audio) for each in (*self.periods, *self.spectrograms)]


def discriminator_loss(recorded: Sequence[Features], decoded: Sequence[Features]) -> Tensor:
    """Least-squares loss of discriminators, averaged over them; shape ().

    Source: Mao et al. 2017, "Least Squares Generative Adversarial Networks", equation 9. It is 0.5
    for those that can't tell one from the other, and 0 for those that always can.
    """
    losses = [
        (1 - real[-1].float()).square().mean() + fake[-1].float().square().mean()
        for real, fake in zip(recorded, decoded, strict=True)
    ]
    return torch.stack(losses).mean()


def adversarial_loss(decoded: Sequence[Features]) -> Tensor:
    """Least-squares loss of a decoder whose audio should be taken for recordings; shape ()."""
    return torch.stack([(1 - fake[-1].float()).square().mean() for fake in decoded]).mean()


def feature_loss(recorded: Sequence[Features], decoded: Sequence[Features]) -> Tensor:
    """Mean absolute difference of features over the mean of those of recordings, averaged over
    layers; shape (). Source: Defossez et al. 2022, "High Fidelity Neural Audio Compression",
    section 3.4."""
    losses = []
    for real, fake in zip(recorded, decoded, strict=True):
        for x, y in zip(real[:-1], fake[:-1], strict=True):
            x = x.detach().float()
            losses.append((x - y.float()).abs().mean() / x.abs().mean().clamp_min(1e-3))
    return torch.stack(losses).mean()


def _band_layers() -> nn.ModuleList:
    """The layers of one frequency band, over (B, 2, frames, bins)."""
    shapes = [((3, 9), (1, 1)), ((3, 9), (1, 2)), ((3, 9), (1, 2)), ((3, 3), (1, 1))]
    return nn.ModuleList(
        _convolution(2 if i == 0 else BAND_CHANNELS, BAND_CHANNELS, kernel, stride)
        for i, (kernel, stride) in enumerate(shapes)
    )


def _convolution(
    inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)
) -> nn.Module:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return weight_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding))


def _activations(layers: Iterable[nn.Module], x: Tensor) -> Features:
    """The outputs of layers that follow each other, after a leaky ReLU."""
    features: Features = []
    for layer in layers:
        x = F.leaky_relu(layer(x), LEAKY_SLOPE)
        features.append(x)
    return features
