"""Norms and products with the fused kernels are those of the layers, whatever the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from support.triton_kernels import DEVICE  # first: skips without Triton

from jukebox_cli.engine.fused_ops import DEPTH, Epilogue, Split, layer_norm, pick_tile, product  # isort: skip
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.transformer import quick_gelu

#: Inputs and outputs, of which none fills the last tile.
SIZES = [(40, 24), (80, 40)]


def random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3)).to(DEVICE, dtype)


def test_a_norm_is_that_of_the_layer() -> None:
    norm = nn.LayerNorm(20, device=DEVICE)
    norm.weight.data, norm.bias.data = random(20), random(20) - 1
    x, added, encoding = random(3, 20), random(3, 20) + 1, random(3, 5, 20)
    with torch.no_grad():
        torch.testing.assert_close(layer_norm(x, norm, torch.float32), norm(x))
        position = torch.tensor([2], device=DEVICE)
        actual = layer_norm(x, norm, torch.float32, added=added, encoding=encoding, n=position)
        torch.testing.assert_close(actual, norm(x + added) + encoding[:, 2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize(("in_features", "out_features"), SIZES)
@torch.inference_mode()
def test_a_product_is_that_of_the_layer(
    in_features: int, out_features: int, dtype: torch.dtype
) -> None:
    linear = BatchInvariantLinear(in_features, out_features, std=0.2).to(DEVICE, dtype)
    linear.bias.copy_(random(out_features))
    x = random(19, in_features, dtype=dtype)
    exact = F.linear(x.double(), linear.weight.T.double(), linear.bias.double())
    residual, branch = random(19, out_features), random(19, out_features) + 1
    expected = residual + 0.3 * (branch + exact)
    close: dict[str, Any] = {"atol": 2e-3, "rtol": 2e-3} if dtype == torch.float16 else CLOSE
    together = product(x, linear, dtype)
    torch.testing.assert_close(together.double(), exact, **close)
    activated = product(x, linear, dtype, gelu=True).double()
    torch.testing.assert_close(activated, quick_gelu(exact), **close)
    streamed = product(x, linear, torch.float32, epilogue=Epilogue(residual, branch, 0.3))
    torch.testing.assert_close(streamed.double(), expected.double(), **CLOSE)
    for batch in (1, 9):
        assert torch.equal(product(x[:batch], linear, dtype), together[:batch])
    assert torch.equal(product(x.flip(0).contiguous(), linear, dtype).flip(0), together)


CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}


@pytest.mark.parametrize("shared", [0, 100_000, 232_448])
@pytest.mark.parametrize("batch", [1, 8, 9, 33, 64, 200])
def test_a_tile_fits_into_shared_memory(batch: int, shared: int) -> None:
    for itemsize, depth in DEPTH.items():
        for out_features in (64, 1920, 4800):
            tile = pick_tile(batch, out_features, itemsize, shared)
            stage = (tile.rows + tile.outs) * 4 * depth * itemsize
            assert tile.num_stages == 1 or (tile.num_stages - 1) * stage <= shared
            assert tile.rows >= min(batch, 64)


@pytest.mark.parametrize("positions", [1, 32, 33, 64, 128, 384, 8192])
def test_programs_of_a_head_share_out_all_positions(positions: int) -> None:
    split = Split.of(positions, 480)
    assert split.programs * split.chunk >= positions
    assert split.programs <= 16
    assert split.block == 512
