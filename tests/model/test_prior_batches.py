"""An item has the same logits to the bit in any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from jukebox_cli.model.conditioning import stack_conditionings
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from support.networks import (
    CONTEXT,
    PRIOR_SIZES,
    Network,
    make_full_prior,
    random_conditions,
    random_tokens,
)


@torch.inference_mode()
def logits_of_item_5(prior: Prior, batch: list[int], prompt: int) -> Tensor:
    """The logits of its steps after the prompt, computed together with other items."""
    conditions = random_conditions(prior, 16)
    tokens = torch.randint(prior.codebook_size, (16, CONTEXT))[batch]
    batched = stack_conditionings([conditions[item] for item in batch])
    caches = prior.make_caches(len(batch), batched)
    prior.prefill(tokens[:, :prompt], batched, caches)
    steps = [prior.step(tokens[:, n - 1], n, batched, caches) for n in range(prompt, CONTEXT)]
    return torch.stack(steps, dim=1)[batch.index(5)]


BATCHES = ([1, 5, 2], list(range(16)))


@pytest.mark.parametrize("prompt", [0, 9])
@pytest.mark.parametrize("size", PRIOR_SIZES)
def test_an_item_is_the_same_to_the_bit_in_any_batch(size: str, prompt: int) -> None:
    prior = make_full_prior(**PRIOR_SIZES[size])
    alone = logits_of_item_5(prior, [5], prompt)
    for batch in BATCHES:
        assert torch.equal(logits_of_item_5(prior, batch, prompt), alone)


@pytest.fixture
def use_two_threads() -> Iterator[Callable[[], None]]:
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(before)


@pytest.mark.parametrize("prefix_length", [0, 8])
def test_an_item_is_the_same_to_the_bit_in_any_batch_with_several_threads(
    use_two_threads: Callable[[], None], prefix_length: int
) -> None:
    prior = make_full_prior(**PRIOR_SIZES["wide"], prefix_length=prefix_length)
    prompt = CONTEXT - 2  # steps of a small prior are slow with two threads
    use_two_threads()
    alone = logits_of_item_5(prior, [5], prompt)
    assert torch.equal(logits_of_item_5(prior, [1, 5, 2], prompt), alone)


def store_weights_as_fp16(network: Network) -> Network:
    for module in network.modules():
        if isinstance(module, BatchInvariantLinear):
            module.store_weight_as_fp16()
    return network


@pytest.mark.parametrize("size", PRIOR_SIZES)
def test_an_item_is_the_same_to_the_bit_in_any_batch_with_fp16_weights(size: str) -> None:
    prior = store_weights_as_fp16(make_full_prior(**PRIOR_SIZES[size]))
    alone = logits_of_item_5(prior, [5], prompt=9)
    assert alone.dtype == torch.float32
    for batch in BATCHES:
        assert torch.equal(logits_of_item_5(prior, batch, prompt=9), alone)


@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 4])
def test_a_prompt_is_prefilled_to_the_same_bits_in_any_batch(prefix_length: int) -> None:
    prior = make_full_prior(width=200, prefix_length=prefix_length)
    tokens = random_tokens(16, 5)
    conditions = stack_conditionings(random_conditions(prior, 16))
    together = prior.make_caches(16, conditions)
    prior.prefill(tokens, conditions, together)
    for item in range(16):
        of_item = conditions.item(item)
        alone = prior.make_caches(1, of_item)
        prior.prefill(tokens[item : item + 1], of_item, alone)
        for expected, cache in zip(alone, together, strict=True):
            part = cache.for_item(item, heads=2)
            assert torch.equal(expected.keys, part.keys)
            assert torch.equal(expected.values, part.values)
            assert expected.keys.any()
