"""A transformer's fused step is that of the reference."""

from __future__ import annotations

import torch

from support.triton_kernels import DEVICE  # first: skips without Triton

from jukebox_cli.engine.fused_step import (  # isort: skip
    FusedStep,
    arrange_weights,
    choose_transformer_step,
    is_fused,
)
from jukebox_cli.model.conditioning import stack_conditionings
from support.networks import conditions_on, make_full_prior, random_conditions, random_tokens


@torch.inference_mode()
def test_the_fused_step_is_that_of_the_transformer() -> None:
    prior = make_full_prior(prefix_length=8).to(DEVICE)
    conditions = stack_conditionings(random_conditions(prior, 2))
    conditions = conditions_on(DEVICE, conditions)
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


def test_it_is_for_16_bits_on_a_gpu() -> None:
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
