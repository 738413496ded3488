"""The network through which an upsampler sees the tokens of the level above (paper, section 4).

Shapes: B batch, T tokens of a window, R = prod(strides) tokens per token of the level above,
W the prior's width.
"""

from __future__ import annotations

from functools import partial
from math import sqrt

from torch import Tensor, nn

from jukebox_cli.config.schema import UpsamplerConditionerConfig
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.convolution import decoder_block, residual_stack


class UpsamplerConditioner(nn.Module):
    """Tokens of the level above (B, T / R) -> `per_token` (B, T, W).

    Embedding, dilated residual convolutions with transposed convolutions that undo the strides
    between the two levels, and a layer norm.
    """

    def __init__(
        self,
        codebook_size: int,
        width: int,
        strides: tuple[int, ...],
        config: UpsamplerConditionerConfig,
    ) -> None:
        super().__init__()
        embedding_dim = config.embedding_dim or width
        self.embedding = nn.Embedding(codebook_size, embedding_dim)
        nn.init.normal_(self.embedding.weight, std=0.02)
        make_stack = partial(
            residual_stack,
            config.width,
            config.depth,
            dilation_growth_rate=config.dilation_growth_rate,
            dilation_cycle=config.dilation_cycle,
            hidden_ratio=config.hidden_ratio,
            residual_scale=1 / sqrt(config.depth) if config.residual_scale else 1.0,
        )
        self.convolutions = decoder_block(embedding_dim, width, config.width, strides, make_stack)
        self.norm = nn.LayerNorm(width)

    def forward(self, upper_tokens: Tensor) -> Conditioning:
        x = self.convolutions(self.embedding(upper_tokens).transpose(1, 2))  # (B, W, T)
        return Conditioning(per_token=self.norm(x.transpose(1, 2)))
