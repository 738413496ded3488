"""Linear layers whose result for an item is the same to the bit whatever the batch around it.

Shapes: B batch, T positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BatchInvariantLinear(nn.Module):
    """x @ weight + bias.

    The weight is stored as (in, out), which is fastest when a single position is computed.
    """

    def __init__(self, in_features: int, out_features: int, std: float = 0.02) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(in_features, out_features) * std)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:  # (B, T, in) -> (B, T, out)
        """Project every position with one matrix product; rounding may depend on B and T."""
        is_fp16 = self.weight.dtype == torch.float16
        return F.linear(x, (self.weight.to(x.dtype) if is_fp16 else self.weight).T, self.bias)

    def step(self, x: Tensor) -> Tensor:  # (B, 1, in) -> (B, 1, out)
        """Project one position of each item; rounding does not depend on B."""
        return batch_invariant_linear(x, self.weight, self.bias)

    def store_weight_as_fp16(self) -> None:
        """Convert the weight to fp16 for inference; the bias and the activations stay fp32.

        Halves the memory. On a CPU, where the time of a step is the time to read the weights, it
        also takes half as long or less.
        """
        transposed = self.weight.detach().half().T.contiguous()  # (out, in), as `step` reads it
        self.weight = nn.Parameter(transposed.T, requires_grad=False)


def batch_invariant_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, 1, in) @ (in, out) + (out) -> (B, 1, out), with every item computed by itself.

    A single matrix product over the batch may round differently for different B, and an item's
    tokens would then depend on which items are sampled beside it. So this is a batched product of
    single rows, or, with an fp16 weight, one matrix-vector product per item. A GPU would read the
    weight once for each row of these; there it is a product of tiles.
    """
    batch, (in_features, out_features) = x.shape[0], weight.shape
    if x.device.type == "cuda":
        return tiled_linear(x[:, 0], weight, bias)[:, None]
    if weight.dtype == torch.float16 and x.dtype != torch.float16:
        products = [torch.mv(weight.T, row) for row in x[:, 0].half()]
        return bias + torch.stack(products).unsqueeze(1).to(x.dtype)
    if in_features % PAD_MULTIPLE or out_features % PAD_MULTIPLE:
        x, weight, bias = (
            pad_to_multiple(x, 1),
            pad_to_multiple(weight, 2),
            pad_to_multiple(bias, 1),
        )
    product = torch.baddbmm(bias.expand(batch, 1, -1), x, weight.expand(batch, -1, -1))
    return product if product.shape[2] == out_features else product[..., :out_features]


#: Rows of a tile. A GPU reads the weight once for a tile, which takes as long as for one row while
#: reading takes longer than computing. Few enough for that on most GPUs, and as many as the slices
#: of `--parallel auto`.
TILE_ROWS = 32


def tiled_linear(x: Tensor, weight: Tensor, bias: Tensor, rows: int = TILE_ROWS) -> Tensor:
    """(B, in) @ (in, out) + (out) -> (B, out), in products of `rows` rows each, the last filled up
    with zeros.

    All products have one shape, so that all are computed by the same kernel, in which every output
    is a sum in the same order.
    """
    batch = len(x)
    missing = -batch % rows
    x = F.pad(x, (0, 0, 0, missing)) if missing else x.contiguous()
    tiles = [torch.addmm(bias, tile, weight) for tile in x.split(rows)]
    return (tiles[0] if len(tiles) == 1 else torch.cat(tiles))[:batch]


#: Rows with a multiple of this many numbers are processed by vector instructions alone.
PAD_MULTIPLE = 8


def pad_to_multiple(x: Tensor, num_dims: int, multiple: int = PAD_MULTIPLE) -> Tensor:
    """`x`, its last `num_dims` dimensions padded with zeros at the end to multiples of `multiple`.

    Vector instructions round the remainder of a row differently from its body, and which numbers
    belong to a remainder would depend on the item's place in the batch.
    """
    padding = [side for size in reversed(x.shape[-num_dims:]) for side in (0, -size % multiple)]
    return F.pad(x, padding) if any(padding) else x
