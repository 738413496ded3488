"""The bytes of a prior that a position reads, and those of a window."""

from __future__ import annotations

import torch

from jukebox_cli.engine.footprint import row_bytes, weight_bytes
from jukebox_cli.engine.loader import load_engine
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import ComputeSettings

CPU = torch.device("cpu")


def test_the_bytes_of_a_position_are_those_of_linear_layers(
    tiny: Model, registry: Registry
) -> None:
    settings = ComputeSettings("torch", "fp32")
    prior = load_engine(tiny, 0, registry, CPU, settings).prior
    width, inner = 32, prior.transformer.heads * prior.transformer.head_dim
    mlp_width = prior.transformer.layer_list()[0].mlp_in.weight.shape[1]
    layer = width * 3 * inner + inner * width + 2 * width * mlp_width
    assert weight_bytes(prior, "fp32") == 4 * (4 * layer + 64 * width)
    assert weight_bytes(prior, "int8") * 4 == weight_bytes(prior, "fp16") * 2
    prior.transformer.to("meta")  # as after packing
    assert weight_bytes(prior, "fp16") * 2 == 4 * (4 * layer + 64 * width)
    cached = 2 * inner * (8 + 64 + 16 + 64)  # row, column, previous and dense layers
    assert row_bytes(prior.config) == 4 * (cached + 2 * 64 * width)
