"""Logits of the native engine: those of `Prior.step`, and the same bits however they are computed.

How tokens are drawn is in `test_native_draw`, several positions per pass in `test_native_ahead`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from jukebox_cli.config.schema import ATTENTION_PATTERNS
from jukebox_cli.engine import library
from jukebox_cli.engine.native import NativeWindow
from jukebox_cli.engine.native_weights import WEIGHT_FORMATS
from jukebox_cli.model.conditioning import Conditioning, Prefix, stack_conditionings
from jukebox_cli.model.prior import Prior
from support.engines import (
    assert_close,
    each_kernels,
    make_inputs,
    make_mild_prior,
    native_steps,
    needs_native_engine,
    pack,
)
from support.networks import (
    CONTEXT,
    PRIOR_SIZES,
    random_tokens,
)

pytestmark = needs_native_engine

each_size = pytest.mark.parametrize("size", PRIOR_SIZES)
each_format = pytest.mark.parametrize("weight_format", WEIGHT_FORMATS)


def assert_steps_are_close(
    prior: Prior, conditions: Conditioning, tokens: Tensor, prompt: int = 0
) -> None:
    actual = native_steps(pack(prior), conditions, tokens, prompt)
    assert_close(actual, prior, conditions, tokens, prompt)


# the logits of the reference


@pytest.mark.parametrize("prompt", [0, 1, 7, CONTEXT - 1])
@each_size
def test_logits_are_those_of_the_reference(size: str, prompt: int) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    assert_steps_are_close(prior, *make_inputs(prior), prompt)


@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("pattern", ATTENTION_PATTERNS)
def test_each_attention_pattern_alone(pattern: str, prefix_length: int) -> None:
    if pattern == "prefix" and not prefix_length:
        prefix_length = 4
    options = {"depth": 2, "attention_patterns": (pattern,), "prefix_length": prefix_length}
    prior = make_mild_prior(**options)
    assert_steps_are_close(prior, *make_inputs(prior))


@pytest.mark.parametrize(
    "options",
    [
        {"tie_embeddings": False},
        {"final_norm": False},
        {"residual_scale": True},
        {"rows": 1},
        {"rows": CONTEXT},
        {"heads": 8, "attention_ratio": 1.0},  # 2 channels each
        {"heads": 1, "attention_ratio": 1 / 16},  # one channel
        {"width": 15, "heads": 5, "attention_ratio": 1.0, "mlp_ratio": 0.2},
        {"width": 80, "attention_ratio": 2.0},  # 80 channels each
        {"codebook_size": 1},
    ],
    ids=str,
)
def test_each_option_of_a_prior(options: dict[str, Any]) -> None:
    prior = make_mild_prior(**options)
    assert_steps_are_close(prior, *make_inputs(prior))


@pytest.mark.parametrize(
    "missing", ["start", "per_token", "memory_mask", "query_encoding", "prefix"]
)
@pytest.mark.parametrize("tied", [True, False])
def test_any_condition_may_be_missing(missing: str, tied: bool) -> None:
    prior = make_mild_prior(prefix_length=0 if missing == "prefix" else 8, tie_embeddings=tied)
    conditions, tokens = make_inputs(prior)
    conditions = replace(conditions, **{missing: None})
    assert_steps_are_close(prior, conditions, tokens)


def test_without_a_memory() -> None:
    prior = make_mild_prior(attention_patterns=("row", "column", "previous"))
    assert_steps_are_close(prior, Conditioning(), random_tokens(3))


def test_a_memory_that_is_longer_than_the_window_and_than_what_is_prefilled_at_once() -> None:
    prior = make_mild_prior()
    conditions, tokens = make_inputs(prior)
    memory, mask = torch.randn(3, 130, prior.config.width), torch.rand(3, 130) < 0.5
    assert_steps_are_close(prior, replace(conditions, memory=memory, memory_mask=mask), tokens)


def test_a_prompt_that_is_longer_than_what_is_prefilled_at_once() -> None:
    prior = make_mild_prior(context_length=120, rows=10)
    conditions = Conditioning(memory=torch.randn(2, 5, prior.config.width))
    assert_steps_are_close(prior, conditions, random_tokens(2, 120), prompt=111)


def with_output_weight(conditions: Conditioning) -> Conditioning:
    prefix = conditions.prefix
    assert isinstance(prefix, Prefix)
    output_weight = torch.randn_like(prefix.embeddings)
    return replace(conditions, prefix=replace(prefix, output_weight=output_weight))


@pytest.mark.parametrize("own_output", [True, False])
def test_characters_of_a_prefix_may_be_sampled(own_output: bool) -> None:
    """They are numbered after the codes, in the logits and as inputs."""
    prior = make_mild_prior(prefix_length=8)
    conditions, tokens = make_inputs(prior)
    tokens[:, ::3] = prior.codebook_size + tokens[:, ::3] % 9
    conditions = with_output_weight(conditions) if own_output else conditions
    assert_steps_are_close(prior, conditions, tokens)


# the same bits


BATCHES = ([5], [16, 5], [1, 5, 2], list(range(4, 9)), list(range(6)), list(range(17)))
PROMPT = CONTEXT - 4


@each_format
@each_size
def test_an_item_has_the_same_bits_in_any_batch_and_with_any_kernels(
    size: str, weight_format: str
) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    conditions, tokens = make_inputs(prior, 17)
    alone = native_steps(pack(prior, weight_format), *pick([5], conditions, tokens), PROMPT)
    for kernels in library.kernel_names():
        weights = pack(prior, weight_format, kernels=kernels)
        for batch in BATCHES:
            logits = native_steps(weights, *pick(batch, conditions, tokens), PROMPT)
            assert torch.equal(logits[batch.index(5)], alone[0]), (kernels, batch)


def pick(items: list[int], conditions: Conditioning, tokens: Tensor) -> tuple[Conditioning, Tensor]:
    return stack_conditionings([conditions.item(item) for item in items]), tokens[items]


@pytest.mark.parametrize("position", [0, CONTEXT - 1])
@pytest.mark.parametrize("batch", range(1, 18))
def test_every_batch_size_has_the_same_bits(batch: int, position: int) -> None:
    """Of the first and the last item, at both ends of a window."""
    prior = make_mild_prior(**PRIOR_SIZES["prefix"])
    weights = pack(prior)
    conditions, tokens = make_inputs(prior, 17)
    tokens = tokens[:, : position + 1]
    logits = native_steps(
        weights, *pick(list(range(batch)), conditions, tokens), max(0, position - 1)
    )
    for item in (0, batch - 1):
        alone = native_steps(weights, *pick([item], conditions, tokens), max(0, position - 1))
        assert torch.equal(logits[item], alone[0])


@each_kernels
@each_size
def test_a_prefilled_prompt_has_the_same_bits_as_one_that_is_stepped_through(
    size: str, kernels: str
) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    inputs = make_inputs(prior, 2)
    weights = pack(prior, kernels=kernels)
    stepped = native_steps(weights, *inputs, 0)
    for prompt in (1, 5, 6, 17, CONTEXT - 1):
        assert torch.equal(native_steps(weights, *inputs, prompt), stepped[:, prompt:])


def test_a_long_prompt_has_the_same_bits() -> None:
    """It is prefilled 48 positions at once."""
    prior = make_mild_prior(context_length=140, rows=10, prefix_length=10)
    prefix = Prefix(torch.randint(9, (2, 10)), torch.randn(9, prior.config.width), torch.ones(10))
    conditions = Conditioning(memory=torch.randn(2, 60, prior.config.width), prefix=prefix)
    tokens, weights = random_tokens(2, 140), pack(prior)
    stepped = native_steps(weights, conditions, tokens)
    for prompt in (37, 38, 39, 86, 139):
        logits = native_steps(weights, conditions, tokens, prompt)
        assert torch.equal(logits, stepped[:, prompt:])


@pytest.mark.parametrize("num_threads", [2, 3, 5])
@each_format
def test_any_number_of_threads_has_the_same_bits(weight_format: str, num_threads: int) -> None:
    """Layers of 256 KiB are shared among threads, and attention to 1 MiB of keys."""
    prior = make_mild_prior(
        width=256, codebook_size=4100, heads=4, mlp_ratio=4.0, attention_ratio=1.0
    )
    conditions, tokens = make_inputs(prior, 2)
    memory, mask = torch.randn(2, 1100, 256), torch.rand(2, 1100) < 0.5
    conditions = replace(conditions, memory=memory, memory_mask=mask)
    alone = native_steps(pack(prior, weight_format), conditions, tokens, PROMPT)
    weights = pack(prior, weight_format, num_threads)
    for count in (num_threads, 2, 1, num_threads):
        weights.set_threads(count)
        assert torch.equal(native_steps(weights, conditions, tokens, PROMPT), alone)


def test_a_step_that_is_computed_again_has_the_same_bits() -> None:
    prior = make_mild_prior()
    conditions, tokens = make_inputs(prior)
    repeated = [position for position in range(CONTEXT) for _ in range(2)]
    weights = pack(prior)
    logits = native_steps(weights, conditions, tokens)
    window = NativeWindow(weights, conditions, tokens, len(tokens))
    for position in repeated:
        assert torch.equal(window.logits(position), logits[:, position])


def test_a_window_keeps_its_weights() -> None:
    prior = make_mild_prior()
    conditions, tokens = make_inputs(prior)
    expected = native_steps(pack(prior), conditions, tokens)[:, 0]
    window = NativeWindow(pack(prior), conditions, tokens, len(tokens))
    assert torch.equal(window.logits(0), expected)
