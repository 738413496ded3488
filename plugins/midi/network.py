"""The network that reads a piano roll. Imports torch, so it is imported only when needed."""

from __future__ import annotations

from torch import Tensor, nn

from jukebox_cli.api.nn import Conditioning, residual_stack


class PianoRollEncoder(nn.Module):
    """Dilated convolutions over the piano roll. They are not causal: notes ahead are seen too.

    rows: of the piano roll; width: channels of the residual stack; output_width: of the prior, W.
    """

    def __init__(
        self, rows: int, width: int, depth: int, dilation_growth_rate: int, output_width: int
    ) -> None:
        super().__init__()
        self.input_projection = nn.Conv1d(rows, width, 1)
        self.residual_stack = residual_stack(
            width, depth, dilation_growth_rate=dilation_growth_rate
        )
        self.output_projection = nn.Conv1d(width, output_width, 1)

    def forward(self, roll: Tensor) -> Conditioning:
        """roll (B, rows, T) -> per_token (B, T, W)."""
        x = self.input_projection(roll.to(self.input_projection.weight.dtype))
        x = self.output_projection(self.residual_stack(x))  # (B, W, T)
        return Conditioning(per_token=x.transpose(1, 2))
