"""Songs that the native engine samples: those of torch, whatever they are sampled with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, nan
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jukebox_plugins.samplers import Guidance, Temperature, TopK, TopP
from torch import Tensor

from jukebox_cli.engine.engines import TorchEngine
from jukebox_cli.engine.native import NativeEngine
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.prior import Prior
from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    WindowSampler,
    sample_windows,
)
from jukebox_cli.sampling.windows import token_windows
from support.engines import needs_native_engine, pack, prior_with_logits
from support.interruptions import CONTEXT_LENGTH, TOTAL, Conditions
from support.results import refusal
from support.songs import (
    CODEBOOK_SIZE,
    blank,
    item_conditions,
    one_prior,
    sample_on,
    tokens_of,
)

pytestmark = needs_native_engine

Tokens = dict[int, list[int]]
#: The samplers of a song, by name.
SAMPLERS: dict[str, tuple[Sampler, ...]] = {
    "none": (),
    "guided": (Guidance(1.5), Temperature(0.9)),
    "cut": (Temperature(1.1), TopK(12), TopP(0.9)),
}
each_kind = pytest.mark.parametrize("kind", SAMPLERS)
each_prefix = pytest.mark.parametrize("prefix", [0, 4])


@cache
def engine(prefix: int = 0) -> NativeEngine:
    return NativeEngine(pack(one_prior(prefix)))


def sample(working: Sequence[PartialTokens], kind: str = "none", **options: Any) -> None:
    sampled_by = engine(options.get("prefix", 0))
    sample_on(working, samplers=SAMPLERS[kind], engine=sampled_by, **options)


@cache
def songs(kind: str = "none", prefix: int = 0) -> Tokens:
    """The tokens of 8 items that are sampled without interruption."""
    working = blank(range(8))
    sample(working, kind, prefix=prefix)
    return tokens_of(working)


@each_prefix
@each_kind
def test_songs_are_those_of_torch(kind: str, prefix: int) -> None:
    """All but those in which a draw falls between two roundings, which shows how rare that is."""
    working = blank(range(8))
    sample_on(working, prefix=prefix, samplers=SAMPLERS[kind])
    expected = tokens_of(working)
    assert sum(songs(kind, prefix)[item] == expected[item] for item in expected) >= 7
    assert len({tuple(song) for song in expected.values()}) == 8


@each_prefix
@each_kind
@settings(max_examples=10, deadline=None)
@given(
    stops=st.lists(st.integers(1, TOTAL), min_size=1, max_size=3),
    items=st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True),
)
def test_tokens_do_not_depend_on_interruptions_or_on_the_batch(
    stops: list[int], items: list[int], kind: str, prefix: int
) -> None:
    working = blank(items)
    for at in stops:
        sample(working, kind, at=at, prefix=prefix)
    sample(working, kind, prefix=prefix)
    assert tokens_of(working) == {item: songs(kind, prefix)[item] for item in items}


@pytest.mark.parametrize("at", range(1, TOTAL))
def test_a_song_that_was_stopped_anywhere_goes_on_with_the_same_tokens(at: int) -> None:
    working = blank([3, 1])
    sample(working, "guided", at=at)
    assert {partial.num_done for partial in working} == {at}
    sample(working, "guided")
    assert tokens_of(working) == {item: songs("guided")[item] for item in (3, 1)}


@settings(max_examples=15, deadline=None)
@given(progress=st.dictionaries(st.integers(0, 7), st.integers(0, TOTAL), min_size=2, max_size=4))
def test_items_of_different_progress_are_sampled_together(progress: dict[int, int]) -> None:
    working = blank(list(progress))
    for partial in working:
        partial.num_done = progress[partial.item]
        partial.tokens[: partial.num_done] = songs()[partial.item][: partial.num_done]
    sample(working)
    assert tokens_of(working) == {item: songs()[item] for item in progress}


def test_known_tokens_are_not_sampled_again() -> None:
    working = blank([0, 1])
    working[0].tokens[:30], working[0].num_done = 9, 30  # nothing that it would sample
    sample(working)
    assert working[0].tokens[:30].tolist() == [9] * 30
    assert working[0].tokens[30:].tolist() != [9] * 14
    assert working[1].tokens.tolist() == songs()[1]


@pytest.mark.parametrize("length", [1, 15, 16, 19])
def test_a_prompt_is_kept_in_any_batch(length: int) -> None:
    primer = [5, 1, 4, 1, 3, 2, 0, 23, 5, 1, 4, 1, 3, 2, 0, 23, 5, 6, 7][:length]
    together, alone = blank([0, 1, 2], primer), blank([1], primer)
    sample(together, primed=length)
    sample(alone, primed=length, at=7)
    sample(alone, primed=length)
    assert together[1].tokens.tolist() == alone[0].tokens.tolist()
    assert alone[0].tokens[:length].tolist() == primer
    assert alone[0].tokens.tolist() != songs()[1]


# samplers of plugins


@dataclass(frozen=True)
class Plain(Sampler):
    """Does the same as another sampler, and says nothing of it."""

    name: ClassVar[str] = "plain"
    other: Sampler | None = None

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        assert self.other is not None
        return self.other(logits, history)


@each_prefix
def test_a_plugins_sampler_that_does_the_same_gives_the_same_tokens(prefix: int) -> None:
    """It gets the logits at every position, where the engine's own sampling does not."""
    working, samplers = blank(range(8)), [Plain(other=each) for each in SAMPLERS["cut"]]
    sampled_by = engine(prefix)
    assert LevelSampler(2, one_prior(prefix), samplers, sampled_by).fused_parameters is None
    for at in (7, 20, None):
        sample_on(working, at=at, prefix=prefix, samplers=samplers, engine=sampled_by)
    assert tokens_of(working) == songs("cut", prefix)


def test_guidance_with_a_plugins_sampler() -> None:
    guidance, temperature = SAMPLERS["guided"]
    working = blank(range(3))
    sample_on(working, samplers=[guidance, Plain(other=temperature)], engine=engine())
    assert tokens_of(working) == {item: songs("guided")[item] for item in range(3)}


@dataclass(frozen=True)
class Forbid(Sampler):
    """Forbids the token before, and records what it was given."""

    name: ClassVar[str] = "forbid"
    lengths: ClassVar[list[int]] = []

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        self.lengths.append(history.shape[1])
        return logits.scatter(1, history[:, -1:], -inf) if history.shape[1] else logits


def test_a_plugins_sampler_reads_the_tokens_before() -> None:
    working = blank([0, 1])
    sample_on(working, samplers=[Forbid()], engine=engine())
    for partial in working:
        assert (np.diff(partial.tokens) != 0).all()
    windows = token_windows(TOTAL, CONTEXT_LENGTH, 0.5)
    assert Forbid.lengths == [n - w.start for w in windows for n in range(w.sample_from, w.end)]


def test_only_a_window_of_the_native_engine_draws_instead_of_the_samplers() -> None:
    first, *_ = token_windows(TOTAL, CONTEXT_LENGTH, 0.5)
    for chosen, draws in ((engine(), True), (TorchEngine(one_prior()), False), (None, False)):
        level = LevelSampler(2, one_prior(), SAMPLERS["cut"], chosen)
        window = WindowSampler(level, blank([0]), first, item_conditions([0]))
        assert (window.drawing is not None) is draws


# errors


def prior_with_bias(bias: list[float]) -> Prior:
    prior, _ = prior_with_logits(torch.zeros(2, len(bias)))
    assert prior.output is not None
    prior.output.bias.data = torch.tensor(bias)
    return prior


@pytest.mark.parametrize(
    ("bias", "problem"),
    [
        ([nan, 0.0], "NaN"),
        ([0.0, inf], "+inf"),
        ([-inf, -inf], "nothing but -inf"),
    ],
)
@pytest.mark.parametrize("samplers", [(), (Guidance(2.0),), (Temperature(0.5), TopK(1))], ids=len)
def test_invalid_logits_are_the_same_error_as_with_torch(
    bias: list[float], problem: str, samplers: Sequence[Sampler]
) -> None:
    def run(make_engine: Callable[[Prior], Any]) -> tuple[str, str | None]:
        prior = prior_with_bias(bias)
        level = LevelSampler(0, prior, samplers, make_engine(prior))
        working = [PartialTokens(0, 0, np.zeros(8, np.int64), 0)]
        windows = token_windows(8, 8, 0.5)
        nothing = Conditions(lambda window: Conditioning())
        return refusal(sample_windows, level, working, windows, nothing, ProgressCallbacks())

    native = run(lambda prior: NativeEngine(pack(prior)))
    assert native == run(TorchEngine)
    assert native[0] == f"the prior returned logits with {problem} for token 0 of item 0 at level 0"


def test_what_was_sampled_before_invalid_logits_is_kept() -> None:
    """Position 10 is damaged; a look at the clock every 4 positions keeps the 8 before."""
    prior = one_prior.__wrapped__()
    with torch.no_grad():
        prior.position_embedding[10] = nan
    working = blank([0])
    broken = NativeEngine(pack(prior))
    conditions = Conditions(lambda window: Conditioning())
    level = LevelSampler(2, prior, (), broken)
    windows, callbacks = token_windows(16, 16, 0.5), ProgressCallbacks(every=4)
    message, _ = refusal(sample_windows, level, working, windows, conditions, callbacks)
    assert message == "the prior returned logits with NaN for token 10 of item 0 at level 2"
    assert working[0].num_done == 8
    assert working[0].tokens[:8].max() < CODEBOOK_SIZE
