"""Upsamplers shaped like the published ones, and random weights for them."""

from __future__ import annotations

import torch
from torch import nn

from jukebox_cli.config.schema import PriorConfig


def upsampler_config(
    width: int, depth: int, heads: int, rows: int, context_length: int
) -> PriorConfig:
    """The settings of a published upsampler but for its sizes and its conditioners."""
    return PriorConfig(
        context_length=context_length,
        width=width,
        depth=depth,
        heads=heads,
        rows=rows,
        attention_patterns=("row", "column", "previous"),
        attention_ratio=0.25,
        mlp_ratio=1.0,
        residual_scale=False,
        final_norm=False,
        tie_embeddings=True,
    )


def draw_weights(network: nn.Module) -> None:
    """Draws all weights, the same each time, but for norms, which change nothing."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        if "norm" in name:
            parameter.fill_("weight" in name)
        else:
            parameter.uniform_(-0.03, 0.03, generator=generator)
