"""Comparison of the steps of a window with those of `Prior.step`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from jukebox_cli.engine.step import StepFunction
from jukebox_cli.model.conditioning import Conditioning, stack_conditionings
from jukebox_cli.model.kv_cache import LayerCache
from jukebox_cli.model.prior import Prior
from support.networks import (
    CONTEXT,
    conditions_on,
    make_full_prior,
    random_conditions,
    random_tokens,
)


def step_pairs(
    make_step: Callable[[Prior, Conditioning, Sequence[LayerCache]], StepFunction],
    prompt: int,
    prefix_length: int,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[Tensor, Tensor]]:
    """The logits of a step and of the reference, at each position after a prompt."""
    prior = make_full_prior(prefix_length=prefix_length).to(device)
    tokens = random_tokens(3).to(device)
    conditions = stack_conditionings(random_conditions(prior, 3))
    conditions = conditions_on(torch.device(device), conditions)
    caches, expected_caches = (prior.make_caches(3, conditions) for _ in range(2))
    for each in (caches, expected_caches):
        prior.prefill(tokens[:, :prompt], conditions, each)
    step = make_step(prior, conditions, caches)
    for n in range(prompt, CONTEXT):
        expected = prior.step(tokens[:, n - 1], n, conditions, expected_caches)
        yield step(tokens[:, n - 1], n), expected
