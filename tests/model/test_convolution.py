"""Convolution stacks: dilations, lengths, and the order of strides."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from jukebox_cli.model.convolution import (
    ResidualConv,
    decoder_block,
    encoder_block,
    residual_stack,
)
from support.networks import random_tensor


def dilations(network: nn.Module) -> list[int]:
    return [m.dilated.dilation[0] for m in network.modules() if isinstance(m, ResidualConv)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"depth": 4}, [1, 3, 9, 27]),
        ({"depth": 3, "dilation_growth_rate": 2}, [1, 2, 4]),
        ({"depth": 5, "dilation_cycle": 2}, [1, 3, 1, 3, 1]),
        ({"depth": 3, "reverse_dilation": True}, [9, 3, 1]),
        ({"depth": 3, "dilation_cycle": 2, "reverse_dilation": True}, [1, 3, 1]),
    ],
)
def test_dilations_grow_restart_and_reverse(options: dict[str, Any], expected: list[int]) -> None:
    stack = residual_stack(4, **options)
    assert dilations(stack) == expected
    assert stack(torch.randn(1, 4, 7)).shape == (1, 4, 7)


def test_a_residual_convolution_is_its_formula() -> None:
    layer, x = ResidualConv(4, 6, dilation=3, residual_scale=0.5).double(), random_tensor(2, 4, 9)
    expected = x + 0.5 * layer.pointwise(layer.dilated(x.relu()).relu())
    torch.testing.assert_close(layer(x), expected)


def test_the_hidden_width_is_a_ratio_of_the_width() -> None:
    (layer,) = residual_stack(8, 1, hidden_ratio=0.5)
    assert isinstance(layer, ResidualConv)
    assert layer.dilated.out_channels == layer.pointwise.in_channels == 4


STRIDES = [(2,), (4, 2), (2, 2, 2)]


@pytest.mark.parametrize("strides", STRIDES)
def test_an_encoder_block_divides_the_length_by_the_strides(strides: tuple[int, ...]) -> None:
    block = encoder_block(1, 5, 4, strides, partial(residual_stack, 4, 2))
    ratio = int(torch.tensor(strides).prod())
    assert block(torch.randn(2, 1, 3 * ratio)).shape == (2, 5, 3)


@pytest.mark.parametrize("strides", STRIDES)
def test_a_decoder_block_multiplies_the_length_by_the_strides(strides: tuple[int, ...]) -> None:
    block = decoder_block(5, 3, 4, strides, partial(residual_stack, 4, 2))
    ratio = int(torch.tensor(strides).prod())
    assert block(torch.randn(2, 5, 3)).shape == (2, 3, 3 * ratio)


def test_a_decoder_block_undoes_the_strides_from_the_last() -> None:
    block = decoder_block(5, 3, 4, (8, 4, 2), partial(residual_stack, 4, 1))
    strides = [m.stride[0] for m in block.modules() if isinstance(m, nn.ConvTranspose1d)]
    assert strides == [2, 4, 8]
