"""Weights as they are packed for the kernels: their formats, and what they lose."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from jukebox_cli.config.schema import ATTENTION_PATTERNS
from jukebox_cli.engine import library
from jukebox_cli.engine.native_weights import PATTERNS, NativePrior
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from support.engines import (
    assert_close,
    each_kernels,
    make_inputs,
    make_mild_prior,
    native_steps,
    needs_native_engine,
    pack,
    prior_with_logits,
    torch_steps,
)
from support.networks import PRIOR_SIZES, make_prior

pytestmark = needs_native_engine

each_size = pytest.mark.parametrize("size", PRIOR_SIZES)


def test_patterns_are_numbered_as_in_the_config() -> None:
    assert set(PATTERNS) == set(ATTENTION_PATTERNS)


def with_weights(prior: Prior, change: Any) -> Prior:
    """A copy in which the weights of linear layers, and of the tied output, are changed: a function
    of a matrix (in, out)."""
    changed = deepcopy(prior)
    with torch.no_grad():
        if changed.output is None:
            embeddings = changed.token_embedding.weight
            changed.output = BatchInvariantLinear(*embeddings.T.shape)
            changed.output.weight.copy_(embeddings.T)
        for module in (*changed.transformer.modules(), changed.output):
            if isinstance(module, BatchInvariantLinear):
                module.weight.copy_(change(module.weight))
    return changed


def quantise(weight: Tensor) -> Tensor:
    """Multiples of a 127th of the largest weight of each output."""
    scale = weight.abs().amax(dim=0) / 127
    scale[scale == 0] = 1
    return (weight / scale).round() * scale


@each_size
def test_int8_weights_are_multiples_of_a_scale_per_output(size: str) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    conditions, tokens = make_inputs(prior)
    actual = native_steps(pack(prior, "int8"), conditions, tokens)
    assert_close(actual, with_weights(prior, quantise), conditions, tokens)
    assert not torch.allclose(actual, torch_steps(prior, conditions, tokens), atol=1e-2)


def test_an_output_whose_weights_are_all_0_has_no_scale() -> None:
    prior = make_mild_prior(tie_embeddings=False)
    assert prior.output is not None
    with torch.no_grad():
        prior.output.weight[:, 3] = 0
    logits = native_steps(pack(prior, "int8"), *make_inputs(prior))
    assert logits[..., 3].eq(0).all()


@each_size
def test_fp16_weights_are_rounded_and_all_else_is_fp32(size: str) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    rounded = with_weights(prior, lambda weight: weight.half().float())
    inputs = make_inputs(prior)
    actual = native_steps(pack(prior, "fp16"), *inputs)
    assert_close(actual, rounded, *inputs)
    assert not torch.equal(actual, native_steps(pack(prior), *inputs))


@each_kernels
def test_weights_that_are_stored_as_fp16_lose_nothing(kernels: str) -> None:
    """Whether they are packed from fp16 or fp32, into fp16 or fp32."""
    prior = make_mild_prior(**PRIOR_SIZES["odd codebook size"])
    inputs = make_inputs(prior)
    rounded = with_weights(prior, lambda weight: weight.half().float())
    stored = deepcopy(prior)
    stored.transformer.half()
    assert stored.output is not None
    stored.output.half()
    for parameter, like in zip(stored.parameters(), prior.parameters(), strict=True):
        if parameter.ndim == 1:  # biases and norms stay fp32
            parameter.data = like.data
    fp32 = native_steps(pack(rounded, "fp32", kernels=kernels), *inputs)
    for each, weight_format in ((rounded, "fp16"), (stored, "fp16"), (stored, "fp32")):
        packed = pack(each, weight_format, kernels=kernels)
        assert torch.equal(native_steps(packed, *inputs), fp32)


def packed_values(values: np.ndarray, kernels: str) -> np.ndarray:
    """What the kernels read for weights that are packed as fp16."""
    prior, conditions = prior_with_logits(torch.zeros(1, len(values)))
    assert prior.output is not None
    prior.output.weight.data = torch.from_numpy(values[None].copy())
    tokens = torch.zeros(1, 1, dtype=torch.int64)
    return native_steps(pack(prior, "fp16", kernels=kernels), conditions, tokens)[0, 0].numpy()


@each_kernels
def test_all_fp16_numbers_are_kept(kernels: str) -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    expected = halves.astype(np.float32)
    np.testing.assert_array_equal(packed_values(halves, kernels), expected)
    np.testing.assert_array_equal(packed_values(expected, kernels), expected)


def test_fp32_numbers_are_rounded_to_fp16_as_by_numpy() -> None:
    halves = np.arange(2**15, dtype=np.uint16).view(np.float16).astype(np.float32)
    halves = halves[np.isfinite(halves)]
    ties = (halves[:-1] + halves[1:]) / 2  # halfway between neighbours
    rng = np.random.default_rng(0)
    patterns = rng.integers(2**32, size=50_000, dtype=np.uint64).astype(np.uint32)
    exponents = rng.standard_normal(50_000) * 2.0 ** rng.uniform(-30, 20, 50_000)
    borders = np.array([65504, 65519.996, 65520, 65536, 1e9, 2**-24, 2**-25, 2**-26, 6.1e-5])
    beside_ties = (np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(1e9)))
    random = (patterns.view(np.float32), exponents.astype(np.float32))
    borders = np.concatenate([borders, -borders]).astype(np.float32)
    values = np.concatenate([ties, -ties, *beside_ties, *random, borders])
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(packed_values(values, "plain"), expected)


def test_the_prior_is_not_needed_after_it_is_packed() -> None:
    prior = make_mild_prior()
    inputs = make_inputs(prior)
    weights = pack(prior)
    before = native_steps(weights, *inputs)
    for parameter in prior.parameters():
        parameter.data = torch.full_like(parameter.data, torch.nan)
    assert torch.equal(native_steps(weights, *inputs), before)


def test_a_prior_that_has_no_room_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "function", lambda name: lambda *_: None)
    with pytest.raises(MemoryError, match="the native engine has no memory left"):
        NativePrior(make_prior(), "fp32")
