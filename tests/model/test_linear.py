"""Linear layers: their values, and that an item's result does not depend on its batch."""

from __future__ import annotations

import pytest
import torch

from jukebox_cli.model.linear import BatchInvariantLinear, batch_invariant_linear, pad_to_multiple


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
