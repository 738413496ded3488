"""The steps of a window are those of `Prior.step`."""

from __future__ import annotations

import pytest
import torch

from jukebox_cli.engine.step import make_step
from jukebox_cli.model.conditioning import stack_conditionings
from support.networks import CONTEXT, make_full_prior, random_conditions, random_tokens


@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("prompt", [0, 1, 9])
def test_the_steps_on_a_cpu_are_the_reference_to_the_bit(prompt: int, prefix_length: int) -> None:
    prior, tokens = make_full_prior(prefix_length=prefix_length), random_tokens(3)
    conditions = stack_conditionings(random_conditions(prior, 3))
    caches, expected_caches = (prior.make_caches(3, conditions) for _ in range(2))
    for each in (caches, expected_caches):
        prior.prefill(tokens[:, :prompt], conditions, each)
    step = make_step(prior, conditions, caches)
    for n in range(prompt, CONTEXT):
        expected = prior.step(tokens[:, n - 1], n, conditions, expected_caches)
        assert torch.equal(step(tokens[:, n - 1], n), expected)
