"""The network that reads a piano roll; a module of its own, since it imports torch."""

from __future__ import annotations

from torch import Tensor, nn

from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.vqvae import residual_stack


class RollNetwork(nn.Module):
    """roll (B, rows, T) -> frames (B, T, W): dilated convolutions, which see a little ahead too."""

    def __init__(self, rows: int, width: int, depth: int, growth: int, after: int) -> None:
        super().__init__()
        self.read = nn.Conv1d(rows, width, 1)
        self.stack = residual_stack(width, depth, growth=growth)
        self.write = nn.Conv1d(width, after, 1)

    def forward(self, roll: Tensor) -> Conditioning:
        x = self.write(self.stack(self.read(roll.to(self.read.weight.dtype))))  # (B, W, T)
        return Conditioning(frames=x.transpose(1, 2))
