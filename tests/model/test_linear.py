"""Linear layers: their values, and that an item's result does not depend on its batch."""

from __future__ import annotations

import pytest
import torch

from jukebox_cli.model.linear import (
    PAD_MULTIPLE,
    TILE_ROWS,
    BatchInvariantLinear,
    batch_invariant_linear,
    pad_to_multiple,
    tiled_linear,
)


@torch.inference_mode()
def test_forward_and_step_are_the_affine_map() -> None:
    torch.manual_seed(0)
    linear, x = BatchInvariantLinear(40, 24, std=1.0), torch.randn(3, 1, 40)
    torch.nn.init.normal_(linear.bias)
    expected = x @ linear.weight + linear.bias
    torch.testing.assert_close(linear(x), expected)
    torch.testing.assert_close(linear.step(x), expected)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize(("in_features", "out_features"), [(64, 64), (50, 37), (8, 3), (3, 8)])
def test_a_step_rounds_the_same_for_any_batch(
    in_features: int, out_features: int, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(in_features, out_features).to(dtype), torch.randn(out_features)
    x = torch.randn(16, 1, in_features)
    together = batch_invariant_linear(x, weight, bias)
    for item in range(16):
        alone = batch_invariant_linear(x[item : item + 1], weight, bias)
        assert torch.equal(alone[0], together[item])


@torch.inference_mode()
@pytest.mark.parametrize("batch", [1, 3, TILE_ROWS, TILE_ROWS + 1, 2 * TILE_ROWS])
def test_tiles_are_the_affine_map(batch: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(batch, 40), torch.randn(40, 24), torch.randn(24)
    tiled = tiled_linear(x, weight, bias)
    assert tiled.shape == (batch, 24)
    torch.testing.assert_close(tiled, x @ weight + bias)


@torch.inference_mode()
@pytest.mark.parametrize(("in_features", "out_features"), [(64, 64), (480, 1920), (50, 37)])
@pytest.mark.parametrize("batch", [1, 5, TILE_ROWS, 70])
def test_a_row_of_a_tile_does_not_depend_on_the_others(
    in_features: int, out_features: int, batch: int
) -> None:
    """Nor on its place, where rows are computed in whole vectors. Weights are used as they are and
    transposed, as those of tied embeddings are."""
    torch.manual_seed(0)
    x, bias = torch.randn(70, in_features), torch.randn(out_features)
    for weight in (
        torch.randn(in_features, out_features),
        torch.randn(out_features, in_features).T,
    ):
        together = tiled_linear(x, weight, bias)
        assert torch.equal(tiled_linear(x[:batch], weight, bias), together[:batch])
        if in_features % PAD_MULTIPLE == 0:
            turned = tiled_linear(x.flip(0), weight, bias).flip(0)
            assert torch.equal(turned, together)


@torch.inference_mode()
def test_an_fp16_weight_is_rounded_once_and_used_alike_by_forward_and_step() -> None:
    torch.manual_seed(0)
    linear, x = BatchInvariantLinear(40, 24, std=1.0), torch.randn(3, 1, 40).half().float()
    expected = x @ linear.weight.half().float() + linear.bias
    linear.store_weight_as_fp16()
    assert linear.weight.dtype == torch.float16
    assert linear.weight.T.is_contiguous()
    assert linear.bias.dtype == torch.float32
    torch.testing.assert_close(linear(x), expected)
    torch.testing.assert_close(linear.step(x), expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(("num_dims", "shape"), [(1, (2, 5, 16)), (2, (2, 8, 16)), (3, (8, 8, 16))])
def test_padding_appends_zeros_to_the_last_dimensions(
    num_dims: int, shape: tuple[int, ...]
) -> None:
    x = torch.ones(2, 5, 11)
    padded = pad_to_multiple(x, num_dims)
    assert padded.shape == shape
    assert torch.equal(padded[:2, :5, :11], x)
    assert padded.sum() == x.sum()


def test_multiples_are_not_padded() -> None:
    x = torch.ones(3, 64)
    assert pad_to_multiple(x, 1, multiple=64) is x
