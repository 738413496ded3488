"""The network of the conditioner, in a module of its own because it imports torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jukebox_cli.api.nn import Conditioning, RangeEmbedding


class EnergyEmbedding(nn.Module):
    """energy (B, T) -> per_token (B, T, W); a learned vector where is_given (B, 1) is False."""

    def __init__(self, num_bins: int, low: float, high: float, width: int) -> None:
        super().__init__()
        self.energy = RangeEmbedding(num_bins, low, high, width)
        self.unknown = nn.Parameter(torch.zeros(width))

    def forward(self, energy: Tensor, is_given: Tensor) -> Conditioning:
        embedded = self.energy(energy)  # (B, T, W)
        return Conditioning(per_token=torch.where(is_given[..., None], embedded, self.unknown))
