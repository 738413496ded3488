"""The zero-initialised projection through which an added conditioner enters a trained prior.

Shapes: B batch, T tokens of a window, W the prior's width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from jukebox_cli.model.conditioning import Conditioning


class ZeroProjection(nn.Module):
    """Projects `start` (B, W) and `per_token` (B, T, W) with a matrix that is initially zero.

    A new conditioner then changes no logit until it has been trained (Zhang et al. 2023,
    section 3.1). A memory passes unchanged: the cross-attention layers that are added with it have
    zero-initialised output projections of their own.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, width))

    def forward(self, conditions: Conditioning) -> Conditioning:
        start, per_token = (
            x if x is None else x @ self.weight for x in (conditions.start, conditions.per_token)
        )
        return replace(conditions, start=start, per_token=per_token)
