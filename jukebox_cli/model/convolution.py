"""Convolution stacks of the VQ-VAE and the upsampler conditioner (paper, section 3, appendix B.1).

Shapes: B batch, T time steps, C channels, W width of a stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

#: Makes one residual stack; called once per stride.
MakeStack = Callable[[], nn.Module]


class ResidualConv(nn.Module):
    """x + scale * conv1(relu(conv3(relu(x)))), where the first convolution is dilated."""

    def __init__(
        self, width: int, hidden_width: int, dilation: int, residual_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(width, hidden_width, 3, padding=dilation, dilation=dilation)
        self.pointwise = nn.Conv1d(hidden_width, width, 1)
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:  # (B, W, T) -> (B, W, T)
        return x + self.residual_scale * self.pointwise(F.relu(self.dilated(F.relu(x))))


def residual_stack(
    width: int,
    depth: int,
    *,
    dilation_growth_rate: int = 3,
    dilation_cycle: int | None = None,
    hidden_ratio: float = 1.0,
    reverse_dilation: bool = False,
    residual_scale: float = 1.0,
) -> nn.Sequential:
    """(B, W, T) -> (B, W, T): `depth` residual convolutions with growing dilation.

    The dilations are `dilation_growth_rate` ** (0, 1, 2, ...) and start again at 1 every
    `dilation_cycle` convolutions. A decoder reverses their order, to mirror the encoder.
    """
    dilations = [
        dilation_growth_rate ** (i if dilation_cycle is None else i % dilation_cycle)
        for i in range(depth)
    ]
    layers = [ResidualConv(width, int(hidden_ratio * width), d, residual_scale) for d in dilations]
    return nn.Sequential(*(reversed(layers) if reverse_dilation else layers))


def encoder_block(
    in_channels: int,
    out_channels: int,
    width: int,
    strides: Sequence[int],
    make_stack: MakeStack,
) -> nn.Sequential:
    """(B, C in, T) -> (B, C out, T / prod(strides)).

    A strided convolution and a residual stack for each stride, then a projection.
    """
    layers: list[nn.Module] = []
    for i, stride in enumerate(strides):
        layers.append(_downsample(in_channels if i == 0 else width, width, stride))
        layers.append(make_stack())
    layers.append(nn.Conv1d(width, out_channels, 3, padding=1))
    return nn.Sequential(*layers)


def decoder_block(
    in_channels: int,
    out_channels: int,
    width: int,
    strides: Sequence[int],
    make_stack: MakeStack,
) -> nn.Sequential:
    """(B, C in, T) -> (B, C out, T * prod(strides)), the mirror image of `encoder_block`.

    A projection, then a residual stack and a transposed convolution for each stride. The strides
    are those of the encoder and undone from the last to the first.
    """
    layers: list[nn.Module] = [nn.Conv1d(in_channels, width, 3, padding=1)]
    for i, stride in enumerate(reversed(strides)):
        layers.append(make_stack())
        is_last = i == len(strides) - 1
        layers.append(_upsample(width, out_channels if is_last else width, stride))
    return nn.Sequential(*layers)


def _downsample(in_channels: int, out_channels: int, stride: int) -> nn.Conv1d:
    return nn.Conv1d(in_channels, out_channels, 2 * stride, stride, stride // 2)


def _upsample(in_channels: int, out_channels: int, stride: int) -> nn.ConvTranspose1d:
    return nn.ConvTranspose1d(in_channels, out_channels, 2 * stride, stride, stride // 2)
