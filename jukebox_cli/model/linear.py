"""Products with weights that are the same to the bit whatever an item is computed beside.

Shapes: B batch, T positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchInvariantLinear(nn.Module):
    """x @ weight + bias, with weight (in, out): the layout that is fastest for one position."""

    def __init__(self, in_features: int, out_features: int, std: float = 0.02) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_features, out_features) * std)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:  # (B, T, in) -> (B, T, out)
        half = self.weight.dtype == torch.float16
        return F.linear(x, (self.weight.to(x.dtype) if half else self.weight).T, self.bias)

    def step(self, x: Tensor) -> Tensor:  # (B, 1, in) -> (B, 1, out)
        return batch_invariant_linear(x, self.weight, self.bias)

    def store_weight_as_fp16(self) -> None:
        """Keeps the weight in fp16, while all else stays as it is; not for training.

        It takes half the memory, and on a CPU, where a position takes as long as its weights take
        to be read, half the time or less.
        """
        rows = self.weight.detach().half().T.contiguous()  # (out, in): as it is read fastest
        self.weight = nn.Parameter(rows.T, requires_grad=False)


def batch_invariant_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, 1, in) @ (in, out) + (out), every item by itself.

    A batched product of single rows: one matrix product over the batch may round differently for
    different B, and then a song would depend on which others are made beside it.
    """
    batch, (inner, size) = x.shape[0], weight.shape
    if weight.dtype == torch.float16 and x.dtype != torch.float16:
        rows = [torch.mv(weight.T, row) for row in x[:, 0].half()]
        return bias + torch.stack(rows).unsqueeze(1).to(x.dtype)
    if inner % PAD_MULTIPLE or size % PAD_MULTIPLE:
        x, weight, bias = (
            pad_to_multiple(x, 1),
            pad_to_multiple(weight, 2),
            pad_to_multiple(bias, 1),
        )
    product = torch.baddbmm(bias.expand(batch, 1, -1), x, weight.expand(batch, -1, -1))
    return product if product.shape[2] == size else product[..., :size]


#: Sizes that are multiples of this have no odd end.
PAD_MULTIPLE = 8


def pad_to_multiple(x: Tensor, dims: int, unit: int = PAD_MULTIPLE) -> Tensor:
    """`x` with zeros after it, so that its last `dims` sizes are multiples of `unit`.

    Vector instructions round the odd end of a row differently from its middle, and which numbers
    are at an odd end would depend on an item's place in the batch.
    """
    missing = [side for size in reversed(x.shape[-dims:]) for side in (0, -size % unit)]
    return F.pad(x, missing) if any(missing) else x
