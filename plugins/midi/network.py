"""The network that reads a piano roll; a module of its own, since it imports torch."""

from __future__ import annotations

from torch import Tensor, nn

from jukebox_cli.api.nn import Conditioning, residual_stack


class PianoRollEncoder(nn.Module):
    """roll (B, rows, T) -> frames (B, T, W): dilated convolutions, which see a little ahead too."""

    def __init__(self, rows: int, width: int, depth: int, growth: int, after: int) -> None:
        super().__init__()
        self.input_projection = nn.Conv1d(rows, width, 1)
        self.residual_stack = residual_stack(width, depth, dilation_growth_rate=growth)
        self.output_projection = nn.Conv1d(width, after, 1)

    def forward(self, roll: Tensor) -> Conditioning:
        x = self.output_projection(
            self.residual_stack(self.input_projection(roll.to(self.input_projection.weight.dtype)))
        )  # (B, W, T)
        return Conditioning(per_token=x.transpose(1, 2))
