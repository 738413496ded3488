"""Networks for plugins: what a conditioner's `module` returns and is built from. Imports torch."""

from __future__ import annotations

from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.embeddings import RangeEmbedding, StartEmbedding
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import Transformer
from jukebox_cli.model.vqvae import residual_stack

__all__ = [
    "BatchInvariantLinear",
    "Conditioning",
    "Prefix",
    "Prior",
    "RangeEmbedding",
    "StartEmbedding",
    "Transformer",
    "residual_stack",
]
