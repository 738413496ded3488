"""A transformer's fused step is that of the reference."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from support.triton_kernels import DEVICE  # first: skips without Triton

from jukebox_cli.engine import fused_step  # isort: skip
from jukebox_cli.engine.engines import TorchEngine
from jukebox_cli.engine.fused_step import (
    FusedStep,
    arrange_weights,
    choose_transformer_step,
    is_fused,
)
from jukebox_cli.model.conditioning import Conditioning, stack_conditionings
from jukebox_cli.model.prior import Prior
from support.networks import conditions_on, make_full_prior, random_conditions, random_tokens


def make_conditions(prior: Prior, dtype: torch.dtype) -> Conditioning:
    conditions = stack_conditionings(random_conditions(prior, 2))
    return conditions_on(DEVICE, conditions).to_dtype(dtype)


@torch.inference_mode()
def test_the_fused_step_is_that_of_the_transformer() -> None:
    prior = make_full_prior(prefix_length=8).to(DEVICE)
    conditions = make_conditions(prior, torch.float32)
    caches, expected_caches = (prior.make_caches(2, conditions) for _ in range(2))
    prompt = random_tokens(2, 5).to(DEVICE)
    for each in (caches, expected_caches):
        prior.prefill(prompt, conditions, each)
    for position in (13, 14):
        x = torch.randn(2, 1, 16, device=DEVICE)
        n = torch.tensor([position], device=DEVICE)
        actual = FusedStep(prior.transformer)(x, n, caches)
        expected = prior.transformer.step(x, n, expected_caches)
        torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_logits_in_16_bits_are_as_near_as_those_of_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fused_step, "has_kernels", lambda device: True)
    exact = logits_of(torch.float32)
    error = (logits_of(torch.float16) - exact).abs().max()
    monkeypatch.setattr(fused_step, "ENABLED", True)
    assert (logits_of(torch.float16) - exact).abs().max() < 1.5 * error


def logits_of(dtype: torch.dtype) -> Tensor:
    """The logits of a position after a prompt."""
    prior = make_full_prior(prefix_length=8).to(DEVICE, dtype)
    conditions, tokens = make_conditions(prior, dtype), random_tokens(2).to(DEVICE)
    assert isinstance(choose_transformer_step(prior), FusedStep) == is_fused(prior)
    window = TorchEngine(prior, _make_step).open_window(conditions, tokens, 2, 3, 3)
    return window.logits(3).float()


def _make_step(prior: Prior, conditions: Conditioning, caches: Any) -> Any:
    step = partial(prior.step_batch, transformer_step=choose_transformer_step(prior))
    return lambda last, n: step(last, torch.tensor([n], device=DEVICE), conditions, caches)


def test_it_is_for_16_bits_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_step, "ENABLED", True)
    prior = make_full_prior()
    for network in (prior, prior.half()):
        assert not is_fused(network)
        assert choose_transformer_step(network) == network.transformer.step


def test_weights_are_arranged_by_outputs() -> None:
    prior, expected = make_full_prior(), make_full_prior().state_dict()
    with torch.inference_mode():
        arrange_weights(prior)
    linear = prior.transformer.layer_list()[0].mlp_in
    assert linear.weight.stride() == (1, 16)
    assert all(torch.equal(value, expected[name]) for name, value in prior.state_dict().items())
