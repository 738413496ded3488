"""Growing a trained decoder: a wider and deeper one that computes the same at first.

What is new reads what was there, but nothing that was there reads what is new until training
changes the zeros between them (Chen et al. 2016, "Net2Net", shows what it saves).
"""

from __future__ import annotations

from itertools import zip_longest

import torch
from torch import Tensor, nn

from jukebox_cli.config.schema import DecoderSize
from jukebox_cli.model.convolution import ResidualConv
from jukebox_cli.model.vqvae import Decoder


def can_grow(old: DecoderSize, new: DecoderSize) -> bool:
    """Whether a decoder of one size can become one of another."""
    return new.width >= old.width and new.depth >= old.depth


@torch.no_grad()
def grow_decoder(old: Decoder, new: Decoder) -> None:
    """Gives a decoder with random weights those of a smaller one: it computes the same, up to
    rounding. Channels and residual blocks that are new keep random weights where nothing reads them
    yet."""
    for old_block, new_block in zip(old.blocks, new.blocks, strict=True):
        assert isinstance(old_block, nn.Sequential)
        assert isinstance(new_block, nn.Sequential)
        for old_layer, new_layer in zip(old_block, new_block, strict=True):
            if isinstance(new_layer, nn.Sequential):
                assert isinstance(old_layer, nn.Sequential)
                _grow_stack(old_layer, new_layer)
            else:
                _grow_convolution(old_layer, new_layer)
    _grow_convolution(old.out, new.out)


def _grow_stack(old: nn.Sequential, new: nn.Sequential) -> None:
    """Grows a residual stack. The last blocks have the smallest dilations in both; those that are
    new come first and add nothing."""
    for old_block, new_block in zip_longest(reversed(old), reversed(new)):
        assert isinstance(new_block, ResidualConv)
        if old_block is None:
            new_block.pointwise.weight.zero_()
            nn.init.zeros_(_bias(new_block.pointwise))
        else:
            assert isinstance(old_block, ResidualConv)
            _grow_convolution(old_block.dilated, new_block.dilated)
            _grow_convolution(old_block.pointwise, new_block.pointwise)


def _grow_convolution(old: nn.Module, new: nn.Module) -> None:
    """Copies the weights of a convolution into one with more channels."""
    assert isinstance(old, nn.Conv1d | nn.ConvTranspose1d)
    assert isinstance(new, type(old))
    is_transposed = isinstance(old, nn.ConvTranspose1d)
    source, target = (  # (out, in, kernel)
        each.weight.transpose(0, 1) if is_transposed else each.weight for each in (old, new)
    )
    outputs, inputs = source.shape[:2]
    target[:outputs, :inputs] = source
    target[:outputs, inputs:] = 0
    _bias(new)[:outputs] = _bias(old)


def _bias(layer: nn.Conv1d | nn.ConvTranspose1d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
