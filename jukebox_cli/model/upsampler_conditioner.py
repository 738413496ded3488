"""The prior of a level: tokens + Conditioning -> logits (paper, section 4).

Position n predicts token n from the tokens before it: the sequence is shifted right by one, and
the first input is the conditioners' `start`, or a learned vector where there is none.
"""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn

from jukebox_cli.config.schema import UpperConfig
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.vqvae import decoder_block


class Upper(nn.Module):
    """Reads the codes of the level above: (B, T / ratio) -> frames (B, T, W) (paper, 4.2)."""

    def __init__(
        self, bins: int, width: int, strides: tuple[int, ...], config: UpperConfig
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(bins, config.embed or width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.convolutions = decoder_block(
            strides,
            config.width,
            config.depth,
            outer=config.embed or width,
            after=width,
            growth=config.growth,
            cycle=config.cycle,
            state=config.state,
            scale=1 / sqrt(config.depth) if config.scale else 1.0,
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, codes: Tensor) -> Conditioning:
        x = self.convolutions(self.embedding(codes).transpose(1, 2))  # (B, W, T)
        return Conditioning(frames=self.norm(x.transpose(1, 2)))
