"""The prior of a level: tokens + Conditioning -> logits (paper, section 4).

Position n predicts token n from the tokens before it: the sequence is shifted right by one, and
the first input is the conditioners' `start`, or a learned vector where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log, sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.conditioning import Conditioning, join
from jukebox_cli.config import PriorConfig, UpperConfig
from jukebox_cli.transformer import Cache, Linear, Transformer, each_row
from jukebox_cli.vqvae import decoder_block


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


class Prior(nn.Module):
    """An autoregressive transformer over one level's tokens.

    `conditioners` are the modules of this level's conditioners, by name; `strides` are those
    between this level and the one above, None at the top.
    """

    def __init__(
        self,
        config: PriorConfig,
        bins: int,
        conditioners: Mapping[str, nn.Module],
        strides: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.config, self.bins = config, bins
        width = config.width
        self.tokens = nn.Embedding(bins, width)
        self.positions = nn.Parameter(torch.randn(config.frames, width) * 0.01)
        self.start = nn.Parameter(torch.randn(width) * 0.02)
        self.conditioners = nn.ModuleDict(conditioners)
        self.upper = None if strides is None else Upper(bins, width, strides, config.upper)
        self.transformer = Transformer(
            frames=config.frames,
            blocks=config.blocks,
            width=width,
            depth=config.depth,
            heads=config.heads,
            inner=int(config.attention * width),
            hidden=int(config.mlp * width),
            patterns=config.patterns,
            scaled=config.scale,
        )
        self.norm = nn.LayerNorm(width) if config.norm else nn.Identity()
        self.head = None if config.tied else Linear(width, bins)
        nn.init.normal_(self.tokens.weight, std=0.02)

    def condition(
        self, arrays: Mapping[str, Mapping[str, Tensor]], above: Tensor | None = None
    ) -> Conditioning:
        """Arrays of each conditioner (leading axis B) and the level above's codes, joined."""
        parts = [module(**arrays[name]) for name, module in self.conditioners.items()]
        if self.upper is not None:
            assert above is not None, "an upsampler needs the codes of the level above"
            parts.append(self.upper(above))
        return join(parts)

    def forward(self, tokens: Tensor, conditions: Conditioning) -> Tensor:
        """Tokens (B, T), T up to `frames` -> logits (B, T, bins), each from the tokens before."""
        x = self._inputs(tokens, conditions)
        return self._logits(self.transformer(x), conditions, 0)

    def loss(self, tokens: Tensor, conditions: Conditioning) -> Tensor:
        """The mean cross-entropy of windows (B, T), in bits per token; -1 is past a song's end."""
        logits = self(tokens.clamp_min(0), conditions)
        nats = F.cross_entropy(logits.flatten(0, 1).float(), tokens.flatten(), ignore_index=-1)
        return nats / log(2)

    def caches(self, batch: int) -> list[Cache]:
        return self.transformer.caches(batch)

    def prefill(self, tokens: Tensor, conditions: Conditioning, caches: list[Cache]) -> None:
        """Fills the caches as steps 0 .. T - 1 over `tokens` (B, T) would, up to rounding.

        Item by item: a product over a batch may round differently for another batch.
        """
        for i in range(tokens.shape[0] if tokens.shape[1] else 0):
            mine = [cache.of(i, self.transformer.heads) for cache in caches]
            self.transformer(self._inputs(tokens[i : i + 1], conditions.row(i)), mine)

    def step(self, last: Tensor, n: int, conditions: Conditioning, caches: list[Cache]) -> Tensor:
        """Logits (B, bins) of position n, given the token before it, `last` (B,).

        `last` is not looked at when n is 0.
        """
        first = self._first(conditions, last.shape[0])
        x = (first if n == 0 else self.tokens(last))[:, None] + self.positions[n]
        if conditions.frames is not None:
            x = x + conditions.frames[:, n : n + 1]
        x = self.norm(self._again(self.transformer.step(x, n, caches), conditions, n))
        if self.head is not None:
            return self.head.step(x)[:, 0]
        return each_row(x, self.tokens.weight.T, x.new_zeros(self.bins))[:, 0]

    def _first(self, conditions: Conditioning, batch: int) -> Tensor:  # (B, W)
        return self.start.expand(batch, -1) if conditions.start is None else conditions.start

    def _inputs(self, tokens: Tensor, conditions: Conditioning) -> Tensor:  # (B, T, W)
        total = tokens.shape[1]
        first = self._first(conditions, tokens.shape[0])[:, None]
        x = torch.cat([first, self.tokens(tokens[:, :-1])], dim=1) + self.positions[:total]
        return x if conditions.frames is None else x + conditions.frames[:, :total]

    def _again(self, x: Tensor, conditions: Conditioning, n: int) -> Tensor:
        """The conditions once more, before a tied output layer."""
        if conditions.frames is None or not self.config.tied:
            return x
        return x + conditions.frames[:, n : n + x.shape[1]]

    def _logits(self, x: Tensor, conditions: Conditioning, n: int) -> Tensor:
        x = self.norm(self._again(x, conditions, n))
        return F.linear(x, self.tokens.weight) if self.head is None else self.head(x)
