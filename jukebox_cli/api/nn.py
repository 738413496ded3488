"""Networks for plugins. Imports torch: import it inside functions, or in a module of its own.

The parts are what a conditioner's `module` returns and is built from. `Prior` and `VQVAE` are what
`jukebox_cli.api.models` loads.
"""

from __future__ import annotations

from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.convolution import residual_stack
from jukebox_cli.model.embeddings import RangeEmbedding, StartEmbedding
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import Transformer
from jukebox_cli.model.vqvae import VQVAE

__all__ = [
    "VQVAE",
    "BatchInvariantLinear",
    "Conditioning",
    "Prefix",
    "Prior",
    "RangeEmbedding",
    "StartEmbedding",
    "Transformer",
    "residual_stack",
]
