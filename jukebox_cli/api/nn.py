"""Networks for plugins. Imports torch: import it inside functions, or in a module of its own.

The parts are what a conditioner's `module` returns and is built from. `Prior` and `Codec` are what
`jukebox_cli.api.models` loads.
"""

from __future__ import annotations

from jukebox_cli.model.codec import Codec
from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.convolution import residual_stack
from jukebox_cli.model.embeddings import RangeEmbedding, StartEmbedding
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import Transformer

__all__ = [
    "BatchInvariantLinear",
    "Codec",
    "Conditioning",
    "Prefix",
    "Prior",
    "RangeEmbedding",
    "StartEmbedding",
    "Transformer",
    "residual_stack",
]
