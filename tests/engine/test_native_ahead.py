"""Several positions per pass give the tokens that are drawn one by one."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
import torch
from torch import Tensor

from jukebox_cli.config.schema import ATTENTION_PATTERNS
from jukebox_cli.engine.lookahead import Lookahead
from jukebox_cli.engine.native import NativeEngine, NativeWindow
from jukebox_cli.engine.native_weights import NativePrior
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.conditioning import Conditioning, stack_conditionings
from support.engines import each_kernels, needs_native_engine, pack, prior_with_logits
from support.networks import CONTEXT, PRIOR_SIZES, make_prior, random_conditions, without_layers

pytestmark = needs_native_engine

EVERY_PATTERN: dict[str, Any] = {
    "depth": len(ATTENTION_PATTERNS),
    "attention_patterns": ATTENTION_PATTERNS,
}
FROM_START = torch.zeros(1, dtype=torch.int64)


def random_uniform(seed: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, CONTEXT, generator=generator, dtype=torch.float64)


def sample_one_by_one(
    weights: NativePrior, conditions: Conditioning, parameters: SamplingParameters
) -> Tensor:
    tokens = torch.zeros(1, CONTEXT, dtype=torch.int64)
    window = NativeWindow(weights, conditions, tokens, 1)
    assert window.sample(0, CONTEXT, FROM_START, random_uniform(), parameters) == CONTEXT
    return tokens


@each_kernels
@pytest.mark.parametrize("size", ["as in presets", "prefix"])
@pytest.mark.parametrize("parameters", [SamplingParameters(temperature=0.3), SamplingParameters()])
def test_any_number_of_positions_per_pass_gives_the_same_tokens(
    kernels: str, size: str, parameters: SamplingParameters
) -> None:
    prior = make_prior(**{**PRIOR_SIZES[size], **EVERY_PATTERN})
    weights = pack(prior, kernels=kernels)
    conditions = stack_conditionings(random_conditions(prior, 1))
    expected = sample_one_by_one(weights, conditions, parameters)
    for lookahead in (1, 2, 3, 4, 7, 16):
        tokens = torch.zeros(1, CONTEXT, dtype=torch.int64)
        window = NativeWindow(weights, conditions, tokens, 1)
        for first in range(0, CONTEXT, 12):  # as callers do, in parts
            uniform = random_uniform()[:, first : first + 12]
            end, _ = window.sample_ahead(
                first, first + 12, FROM_START, uniform, parameters, lookahead
            )
            assert end == window.next_position == first + 12
        assert torch.equal(tokens, expected)
    assert len(expected.unique()) > 3


def constant_prior() -> tuple[NativePrior, Conditioning]:
    """A prior that gives every position the same logits, of which that of token 2 is largest."""
    prior = without_layers(make_prior(tie_embeddings=False, final_norm=False))
    assert prior.output is not None
    with torch.no_grad():
        prior.token_embedding.weight.zero_()
        prior.position_embedding.fill_(1)
        prior.start_embedding.zero_()
        prior.output.weight.zero_()
        prior.output.weight[:, 2] = 1
    return pack(prior), Conditioning()


def test_right_guesses_save_passes() -> None:
    weights, conditions = constant_prior()
    tokens = torch.zeros(1, CONTEXT, dtype=torch.int64)
    window = NativeWindow(weights, conditions, tokens, 1)
    greedy = SamplingParameters(greedy=True)
    _, num_passes = window.sample_ahead(0, CONTEXT, FROM_START, random_uniform(), greedy, 4)
    assert tokens.eq(2).all()
    columns = weights.config.columns  # a pass stays within a row, and the first guess is wrong
    per_row = ceil(columns / 4)
    assert num_passes <= per_row * weights.config.rows + 1 < CONTEXT


def test_known_tokens_are_kept_and_count_as_right() -> None:
    prior = make_prior(**EVERY_PATTERN)
    weights = pack(prior)
    conditions = stack_conditionings(random_conditions(prior, 1))
    expected = sample_one_by_one(weights, conditions, SamplingParameters())
    tokens = expected.clone()
    tokens[:, 9:] = 0
    window = NativeWindow(weights, conditions, tokens, 1)
    sample_from = torch.tensor([9])
    arguments = (sample_from, random_uniform(), SamplingParameters(), 4)
    window.sample_ahead(0, CONTEXT, *arguments)
    assert torch.equal(tokens, expected)


def test_stops_at_the_first_position_whose_logits_are_invalid() -> None:
    prior, conditions = prior_with_logits([[0.0, 1.0]])
    assert prior.output is not None
    with torch.no_grad():
        prior.token_embedding.weight.fill_(float("nan"))
    window = NativeWindow(pack(prior), conditions, torch.zeros(1, CONTEXT, dtype=torch.int64), 1)
    arguments = (FROM_START, random_uniform(), SamplingParameters(greedy=True), 4)
    assert window.sample_ahead(0, CONTEXT, *arguments)[0] == 1


def test_an_engine_with_lookahead_samples_single_rows_that_way() -> None:
    prior = make_prior(**EVERY_PATTERN)
    weights = pack(prior)
    conditions = stack_conditionings(random_conditions(prior, 2))
    lookahead = Lookahead()
    uniform = random_uniform().repeat(2, 1)
    both = torch.zeros(2, CONTEXT, dtype=torch.int64)
    window = NativeEngine(weights, lookahead).open_window(conditions, both, 2, 0, 0)
    window.sample(0, CONTEXT, FROM_START.repeat(2), uniform, SamplingParameters())
    assert lookahead.count == 0
    for item in range(2):
        tokens = torch.zeros(1, CONTEXT, dtype=torch.int64)
        rows = conditions.rows(torch.tensor([item]))
        one = NativeEngine(weights, lookahead).open_window(rows, tokens, 1, 0, 0)
        one.sample(0, CONTEXT, FROM_START, uniform[:1], SamplingParameters())
        assert torch.equal(tokens[0], both[item])
    assert lookahead.count == 2
