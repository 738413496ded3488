"""The prior of a level: tokens + Conditioning -> logits (paper, section 4).

Position n predicts token n from the tokens before it: the sequence is shifted right by one, and
the first input is the conditioners' `start`, or a learned vector where there is none.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from jukebox_cli.model.conditioning import Conditioning


class ZeroProjection(nn.Module):
    """How a conditioner comes into a prior that was trained without it: through a matrix of zeros,
    so that it changes nothing until it has learned something (Zhang et al. 2023, section 3.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, width))

    def forward(self, made: Conditioning) -> Conditioning:
        """A memory comes as it is: the layers that look at it begin with zeros of their own."""
        start, per_token = (
            part if part is None else part @ self.weight for part in (made.start, made.per_token)
        )
        return replace(made, start=start, per_token=per_token)
