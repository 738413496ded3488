"""The prior of a level: tokens + Conditioning -> logits (paper, section 4).

Position n predicts token n from the tokens before it: the sequence is shifted right by one, and
the first input is the conditioners' `start`, or a learned vector where there is none.
"""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn

from jukebox_cli.config.schema import UpsamplerConditionerConfig
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.vqvae import decoder_block


class UpsamplerConditioner(nn.Module):
    """Reads the codes of the level above: (B, T / ratio) -> frames (B, T, W) (paper, 4.2)."""

    def __init__(
        self, bins: int, width: int, strides: tuple[int, ...], config: UpsamplerConditionerConfig
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(bins, config.embedding_dim or width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.convolutions = decoder_block(
            strides,
            config.width,
            config.depth,
            in_channels=config.embedding_dim or width,
            out_channels=width,
            dilation_growth_rate=config.dilation_growth_rate,
            dilation_cycle=config.dilation_cycle,
            hidden_ratio=config.hidden_ratio,
            residual_scale=1 / sqrt(config.depth) if config.residual_scale else 1.0,
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, codes: Tensor) -> Conditioning:
        x = self.convolutions(self.embedding(codes).transpose(1, 2))  # (B, W, T)
        return Conditioning(per_token=self.norm(x.transpose(1, 2)))
