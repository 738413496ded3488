"""The network of the conditioner, in a module of its own: this one imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jukebox_cli.api.nn import Conditioning, RangeEmbedding


class EnergyEmbedding(nn.Module):
    """energy (B, T) -> frames (B, T, W); a learned vector where nothing was said (B, 1)."""

    def __init__(self, bins: int, low: float, high: float, width: int) -> None:
        super().__init__()
        self.levels = RangeEmbedding(bins, low, high, width)
        self.unsaid = nn.Parameter(torch.zeros(width))

    def forward(self, energy: Tensor, said: Tensor) -> Conditioning:
        return Conditioning(
            per_token=torch.where(said[..., None], self.levels(energy), self.unsaid)
        )
