"""Embeddings that conditioner networks are built from.

Shapes: B batch, T tokens of a window, N slots, W the prior's width.
"""

from __future__ import annotations

from torch import Tensor, nn

from jukebox_cli.model.conditioning import Conditioning


class StartEmbedding(nn.Module):
    """Ids (B, N) -> `start`, the sum of their embeddings; -1 is an empty slot (a bag of words)."""

    def __init__(self, num_embeddings: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, ids: Tensor) -> Conditioning:
        slots = self.embedding(ids.clamp_min(0)) * (ids >= 0).unsqueeze(-1)  # (B, N, W)
        return Conditioning(start=slots.sum(dim=1))


class RangeEmbedding(nn.Module):
    """Numbers (B, T) -> embeddings (B, T, W) of the bin each falls into.

    The range low .. high is divided into `num_bins` equal bins; values outside are clamped.
    """

    def __init__(self, num_bins: int, low: float, high: float, width: int) -> None:
        super().__init__()
        self.num_bins, self.low, self.high = num_bins, low, high
        self.embedding = nn.Embedding(num_bins, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, value: Tensor) -> Tensor:  # (B, T) -> (B, T, W)
        fraction = (value - self.low) / (self.high - self.low)
        index = (fraction * self.num_bins).floor().long().clamp(0, self.num_bins - 1)
        out: Tensor = self.embedding(index)
        return out
