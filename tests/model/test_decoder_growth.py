"""A decoder that grows computes the same at first, and all that is new can learn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from jukebox_cli.config.schema import DecoderSize, VQVAEConfig
from jukebox_cli.model.decoder_growth import can_grow, grow_decoder
from jukebox_cli.model.vqvae import Decoder
from support.training import CODEC


def grown(config: VQVAEConfig, size: DecoderSize, level: int = 1) -> tuple[Decoder, Decoder]:
    """A decoder with random weights, and the one that it becomes."""
    torch.manual_seed(0)
    old = Decoder(level, config)
    new = Decoder(level, config.with_decoder(level, size))
    grow_decoder(old, new)
    return old, new


@pytest.mark.parametrize("size", [(8, 2), (8, 4), (20, 2), (20, 5)])
@pytest.mark.parametrize("changes", [{}, {"hidden_ratio": 1.5}, {"dilation_cycle": 2}])
def test_a_grown_decoder_computes_the_same(
    size: tuple[int, int], changes: dict[str, float]
) -> None:
    config = replace(CODEC, depths=(2, 2), **changes)  # type: ignore[arg-type]
    old, new = grown(config, DecoderSize(*size))
    x = torch.randn(2, 4, 30)
    torch.testing.assert_close(new(x), old(x), rtol=0, atol=1e-5)


def test_every_weight_of_a_grown_decoder_learns_within_a_few_steps() -> None:
    _, new = grown(CODEC, DecoderSize(20, 3))
    before = {name: p.detach().clone() for name, p in new.named_parameters()}
    optimizer = torch.optim.AdamW(new.parameters(), 1e-3, weight_decay=0)
    x = torch.randn(4, 4, 60)
    for _ in range(4):
        optimizer.zero_grad()
        new(x).square().mean().backward()
        optimizer.step()
    for name, parameter in new.named_parameters():
        assert (parameter != before[name]).float().mean() > 0.8, name


@pytest.mark.parametrize(
    ("size", "possible"), [((8, 3), True), ((9, 9), True), ((7, 9), False), ((9, 2), False)]
)
def test_a_decoder_never_loses_channels_or_blocks(size: tuple[int, int], possible: bool) -> None:
    assert can_grow(DecoderSize(8, 3), DecoderSize(*size)) is possible
