"""How conditions reach a prior, sorted by what they do to it, and parts plugins are made of.

Shapes: B batch, T tokens of a window, S memory positions, P prefix positions, V letters that a
prefix is written in, W the prior's width.
"""

from __future__ import annotations

from torch import Tensor, nn

from jukebox_cli.model.conditioning import Conditioning


class StartEmbedding(nn.Module):
    """Ids (B, n) -> `start`: the sum of their embeddings; -1 is an empty slot."""

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(bins, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, ids: Tensor) -> Conditioning:
        slots = self.embedding(ids.clamp_min(0)) * (ids >= 0).unsqueeze(-1)  # (B, n, W)
        return Conditioning(start=slots.sum(dim=1))


class RangeEmbedding(nn.Module):
    """A number in low .. high -> an embedding of the bin it falls into; outside it is clamped."""

    def __init__(self, bins: int, low: float, high: float, width: int) -> None:
        super().__init__()
        self.bins, self.low, self.high = bins, low, high
        self.embedding = nn.Embedding(bins, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, value: Tensor) -> Tensor:  # (B, T) -> (B, T, W)
        share = (value - self.low) / (self.high - self.low)
        bins = (share * self.bins).floor().long().clamp(0, self.bins - 1)
        out: Tensor = self.embedding(bins)
        return out
