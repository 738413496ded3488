"""Networks for plugins: what a conditioner's `module` returns and is built from. Imports torch."""

from __future__ import annotations

from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.convolution import residual_stack
from jukebox_cli.model.embeddings import RangeEmbedding, StartEmbedding
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.transformer import Transformer

__all__ = [
    "BatchInvariantLinear",
    "Conditioning",
    "Prefix",
    "RangeEmbedding",
    "StartEmbedding",
    "Transformer",
    "residual_stack",
]
