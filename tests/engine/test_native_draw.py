"""The native engine draws the tokens that the built-in samplers and `draw_tokens` draw.

Both round, so they may differ where a number lies within rounding of a border: the uniform number
of a border of the CDF, or a token of where the distribution is cut off. `explain` looks for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import inf, nan
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jukebox_plugins.samplers import Greedy, Guidance, MinP, Temperature, TopK, TopP
from torch import Tensor

from jukebox_cli.engine.native import NativeWindow
from jukebox_cli.interfaces.sampler import Sampler, SamplingParameters
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.sampling.rng import draw_tokens
from jukebox_cli.sampling.sampler_calls import apply_samplers, fuse_samplers
from support.engines import each_kernels, needs_native_engine, pack, prior_with_logits

pytestmark = needs_native_engine

#: How near a number must be to a border for two roundings to fall on both sides of it.
NEAR = 1e-5
NO_HISTORY = torch.zeros(1, 0, dtype=torch.int64)


class Options(NamedTuple):
    """Options of the built-in samplers."""

    guidance: float | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    greedy: bool | None = None

    @property
    def guided(self) -> bool:
        return self.guidance not in (None, 1.0)

    def samplers(self) -> list[Sampler]:
        every = (Guidance, Temperature, TopK, TopP, MinP, Greedy)
        makers: Sequence[Any] = every
        pairs = zip(makers, self, strict=True)
        return [maker(value) for maker, value in pairs if value is not None]

    def parameters(self) -> SamplingParameters:
        fused = fuse_samplers(self.samplers())
        assert fused is not None
        return fused


def native_draw(
    logits: Tensor, uniform: Tensor, options: Options, kernels: str | None = None
) -> Tensor:
    """Tokens (B,) of the native engine from logits (B, K) or with guidance (2B, K)."""
    prior, conditions = prior_with_logits(logits)
    tokens = torch.zeros(len(uniform), 1, dtype=torch.int64)
    window = NativeWindow(pack(prior, kernels=kernels), conditions, tokens, len(logits))
    sample_from = torch.zeros(len(uniform), dtype=torch.int64)
    assert window.sample(0, 1, sample_from, uniform[:, None], options.parameters()) == 1
    return tokens[:, 0]


def torch_draw(logits: Tensor, uniform: Tensor, options: Options) -> Tensor:
    samplers = options.samplers()
    guidance: Any = [s for s in samplers if isinstance(s, Guidance) and s.needs_unconditional]
    return draw_tokens(apply_samplers(samplers, guidance, logits, NO_HISTORY), uniform)


def kept_sets(logits: np.ndarray, options: Options) -> Iterator[np.ndarray]:
    """What the samplers may keep of logits (K,), in exact arithmetic: with borders of the cut-offs
    as they are, and moved a little to either side."""
    weights = np.exp(logits.astype(np.float64) - logits.max())
    for cut_k, cut_p, cut_m in product((0, -NEAR), (0, -NEAR, NEAR), (0, -NEAR, NEAR)):
        kept = weights.copy()
        if options.top_k is not None:
            kth = np.sort(weights)[::-1][min(options.top_k, len(weights)) - 1]
            kept[weights < kth * (1 + cut_k)] = 0
        if options.top_p is not None and options.top_p < 1:
            order = np.argsort(-kept, kind="stable")
            before = np.cumsum(kept[order]) - kept[order]
            dropped = before / kept.sum() >= options.top_p + cut_p
            dropped[0] = False
            kept[order[dropped]] = 0
        if options.min_p is not None:
            kept[weights < min(1.0, options.min_p * (1 + cut_m))] = 0
        yield kept


def explain(token: int, logits: np.ndarray, uniform: float, options: Options) -> bool:
    """Whether a token is the right one of logits (K,) after guidance and temperature, up to
    rounding: the uniform number lies in its part of the CDF, or within `NEAR` of that."""
    for kept in kept_sets(logits, options):
        cdf = np.cumsum(kept / kept.sum())
        low = cdf[token - 1] if token else 0.0
        if kept[token] and low - NEAR <= uniform <= cdf[token] + NEAR:
            return True
    return False


def assert_same_tokens(logits: Tensor, uniform: Tensor, options: Options) -> int:
    """Asserts that the engines' tokens are the same except where rounding explains it. Returns how
    many differ."""
    native, expected = (f(logits, uniform, options) for f in (native_draw, torch_draw))
    shaped = Options(guidance=options.guidance, temperature=options.temperature).samplers()
    guidance: Any = [s for s in shaped if isinstance(s, Guidance) and s.needs_unconditional]
    before_cuts = apply_samplers(shaped, guidance, logits, NO_HISTORY).numpy()
    different = (native != expected).nonzero()[:, 0].tolist()
    for item in different:
        where = f"item {item}: {native[item]} for {expected[item]}, uniform {uniform[item]}"
        assert not options.greedy, where
        for token in (native[item], expected[item]):
            assert explain(int(token), before_cuts[item], float(uniform[item]), options), where
    return len(different)


def random_logits(count: int, size: int, spread: float, step: float, seed: int) -> Tensor:
    """Logits (count, size): multiples of a step, of which many are equal if it is large."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(count, size, generator=generator)
    return (logits / step).round() * step if step else logits


def random_uniform(count: int, seed: int) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(1, 140),
    spread=st.sampled_from([0.0, 0.01, 1.0, 5.0, 60.0]),
    step=st.sampled_from([0.0, 0.25, 4.0]),
    seed=st.integers(0, 2**31),
    options=st.builds(
        Options,
        guidance=st.none() | st.sampled_from([0.0, 1.0, 1.5, 4.0]),
        temperature=st.none() | st.sampled_from([0.05, 0.7, 0.98, 1.0, 3.0]),
        top_k=st.none() | st.integers(1, 150),
        top_p=st.none() | st.floats(0.001, 1.0),
        min_p=st.none() | st.floats(0.0, 1.0),
        greedy=st.sampled_from([None, None, None, False, True]),
    ),
)
@example(64, 1.0, 0.0, 0, Options(top_k=5, top_p=0.5, min_p=0.1))
@example(64, 0.0, 0.0, 0, Options(top_k=5, top_p=0.5, min_p=1.0))
@example(10, 0.0, 0.0, 0, Options(top_p=0.1, min_p=1.0))  # as many as add up to p, up to rounding
def test_tokens_are_those_of_the_built_in_samplers(
    size: int, spread: float, step: float, seed: int, options: Options
) -> None:
    count = 8
    logits = random_logits(2 * count if options.guided else count, size, spread, step, seed)
    assert_same_tokens(logits, random_uniform(count, seed), options)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(temperature=0.98),
        Options(guidance=2.5, temperature=1.1),
        Options(top_k=40),
        Options(top_p=0.9),
        Options(min_p=0.05),
        Options(temperature=0.9, top_k=100, top_p=0.95, min_p=0.01),
    ],
    ids=str,
)
def test_hardly_any_token_differs(options: Options) -> None:
    """So what is the same is not only what rounding explains."""
    count = 400
    logits = random_logits(2 * count if options.guided else count, 512, 2.0, 0.0, 1)
    assert assert_same_tokens(logits, random_uniform(count, 1), options) <= 2


@each_kernels
def test_all_kernels_draw_the_same_tokens(kernels: str) -> None:
    logits, uniform = random_logits(200, 300, 3.0, 0.5, 2), random_uniform(200, 2)
    for options in (Options(), Options(None, 0.9, 100, 0.95, 0.01), Options(None, 0.9, 5, 0.5)):
        expected = native_draw(logits, uniform, options, "plain")
        assert torch.equal(native_draw(logits, uniform, options, kernels), expected)


EDGES = torch.tensor([0.0, 2.0**-53, 0.25, 0.5, 1 - 2.0**-24, 1 - 2.0**-53], dtype=torch.float64)


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        (Options(), 1, 5),
        (Options(top_k=2), 4, 5),
        (Options(top_p=0.3), 4, 4),
        (Options(min_p=0.9), 4, 5),
    ],
    ids=str,
)
def test_uniform_numbers_at_the_ends_draw_the_first_and_the_last_token_that_is_kept(
    options: Options, first: int, last: int
) -> None:
    """Tokens at both ends have no chance at all: e^-200 is 0."""
    logits = torch.tensor([[-200.0, 0.0, 0.0, -200.0, 1.0, 1.0, -200.0]] * len(EDGES))
    tokens = native_draw(logits, EDGES, options)
    assert torch.equal(tokens, torch_draw(logits, EDGES, options))
    assert (int(tokens[0]), int(tokens[-1])) == (first, last)


def test_a_token_of_weight_0_is_never_drawn() -> None:
    row = [-100.0, 0.0, -100.0]  # e^-100 is above 0, but below what a float keeps of a sum
    tokens = native_draw(torch.tensor([row] * len(EDGES)), EDGES, Options())
    assert tokens.tolist() == [1] * len(EDGES)


def test_of_equal_tokens_at_the_border_of_the_nucleus_those_of_low_ids_are_kept() -> None:
    logits = torch.tensor([[0.0, 5.0, 0.0, 0.0, 5.0, 0.0]]).repeat(64, 1)
    uniform = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    top = float(logits[0].softmax(0)[1])
    for options, expected in (
        (Options(top_p=top / 2), {1}),
        (Options(top_p=1.5 * top), {1, 4}),
        (Options(top_p=2 * top + (1 - 2 * top) * 0.3), {0, 1, 2, 4}),
        (Options(top_k=1), {1, 4}),
        (Options(top_k=3), {0, 1, 2, 3, 4, 5}),
        (Options(top_k=1, top_p=0.4), {1}),
    ):
        tokens = native_draw(logits, uniform, options)
        assert torch.equal(tokens, torch_draw(logits, uniform, options))
        assert {1} <= set(tokens.tolist()) <= expected


def test_greedy_takes_the_lowest_id_of_the_most_likely_tokens() -> None:
    logits = torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [-1.0, -5.0, -1.0]])
    for options in (Options(greedy=True), Options(None, 0.3, 2, 0.5, 0.1, True)):
        assert native_draw(logits, random_uniform(3, 0), options).tolist() == [1, 0, 0]


def test_frequencies_are_the_probabilities() -> None:
    row = torch.tensor([0.5, -1.0, 2.0, 0.0])
    count = 4096
    uniform = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    tokens = native_draw(row.repeat(64, 1), uniform[::64].contiguous(), Options())
    found = torch.bincount(tokens, minlength=4) / 64
    torch.testing.assert_close(found, row.softmax(0), atol=2 / 64, rtol=0)


# invalid logits


def window_with_output(bias: list[float]) -> NativeWindow:
    """A window of two items whose logits are those of the bias, at each position."""
    prior, _ = prior_with_logits(torch.zeros(2, len(bias)))
    assert prior.output is not None
    prior.output.bias.data = torch.tensor(bias)
    tokens = torch.zeros(2, 4, dtype=torch.int64)
    return NativeWindow(pack(prior), Conditioning(), tokens, 2)


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize(
    "bias", [[nan, 0.0, 1.0], [0.0, nan, nan], [0.0, inf, 1.0], [inf, inf, -inf], [-inf] * 3]
)
def test_invalid_logits_give_their_position_back(bias: list[float], greedy: bool) -> None:
    window = window_with_output(bias)
    uniform, parameters = random_uniform(8, 0).view(2, 4), SamplingParameters(greedy=greedy)
    assert window.sample(0, 4, torch.zeros(2, dtype=torch.int64), uniform, parameters) == 0
    later = torch.tensor([3, 2])  # what is known is not drawn
    assert window_with_output(bias).sample(0, 4, later, uniform, parameters) == 2


def test_tokens_may_be_forbidden() -> None:
    window = window_with_output([-inf, 0.0, -inf])
    uniform = random_uniform(8, 0).view(2, 4)
    sample_from = torch.zeros(2, dtype=torch.int64)
    assert window.sample(0, 4, sample_from, uniform, SamplingParameters(top_p=0.9)) == 4
    assert window.tokens.tolist() == [[1] * 4] * 2
