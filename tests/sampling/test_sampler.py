"""Sampling: windows are joined without a seam, and tokens do not depend on how they came about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jukebox_plugins.samplers import Guidance
from torch import Tensor

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.model.conditioning import Conditioning, Prefix, stack_conditionings
from jukebox_cli.model.prior import Prior
from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    sample_windows,
)
from jukebox_cli.sampling.windows import TokenWindow, token_windows

CONTEXT_LENGTH, TOTAL = 16, 44


def partials(items: Sequence[int], known: Sequence[int] | int = 0) -> list[PartialTokens]:
    """Items whose token at position p is p, as far as it is known."""
    known = [known] * len(items) if isinstance(known, int) else known
    return [
        PartialTokens(item, 0, np.where(np.arange(TOTAL) < done, np.arange(TOTAL), 0), done)
        for item, done in zip(items, known, strict=True)
    ]


@dataclass(frozen=True)
class Conditions:
    """A conditioner that is a function of the window."""

    function: Callable[[TokenWindow], Conditioning]

    def conditioning(self, window: TokenWindow) -> Conditioning:
        return self.function(window)


@dataclass
class Counting:
    """A prior that predicts token p at position p, and checks the tokens before it."""

    position_embedding: Tensor = field(default_factory=lambda: torch.zeros(1))
    codebook_size: int = TOTAL
    characters: tuple[int, ...] = ()  # positions at which it predicts a character of a prefix

    def make_caches(self, batch: int, conditions: Conditioning) -> list[list[int]]:
        return [[], []]  # positions so far; those of the prompt

    def prefill(self, tokens: Tensor, conditions: Conditioning, caches: list[list[int]]) -> None:
        assert conditions.per_token is not None
        start = int(conditions.per_token[0, 0, 0])
        expected = [self.stored(start + n) for n in range(tokens.shape[1])]
        assert tokens.tolist() == [expected] * len(tokens)
        for each in caches:
            each.extend(range(tokens.shape[1]))

    def step(
        self, last: Tensor, n: int, conditions: Conditioning, caches: list[list[int]]
    ) -> Tensor:
        assert conditions.per_token is not None
        place = int(conditions.per_token[0, n, 0])
        expected = (self.stored if n - 1 in caches[1] else self.sampled)(place - 1)
        assert n == 0 or last.tolist() == [expected] * len(last)
        assert caches[0] == list(range(n))  # every position before went through the cache, once
        caches[0].append(n)
        logits = torch.full((len(last), 2 * TOTAL), -torch.inf)
        return logits.index_fill(1, torch.tensor([self.sampled(place)]), 0.0)

    def sampled(self, place: int) -> int:
        return place + self.codebook_size if place in self.characters else place

    def stored(self, place: int) -> int:
        """What remains of it when its window is complete."""
        return 0 if place in self.characters else place


def counting(**fields: Any) -> Any:
    """`Counting` where a prior is expected."""
    return Counting(**fields)


def positions(batch: int) -> Conditions:
    """Conditions that tell `Counting` where it is: the positions of a window in its item."""

    def of_window(window: TokenWindow) -> Conditioning:
        numbers = window.start + torch.arange(CONTEXT_LENGTH, dtype=torch.float)
        return Conditioning(per_token=numbers[None, :, None].expand(batch, -1, -1))

    return Conditions(of_window)


@dataclass
class Interruption:
    """Callbacks that interrupt at the n-th report of new tokens, counted from 1."""

    at: int | None = None
    reports: int = 0
    saved: list[list[PartialTokens]] = field(default_factory=list)
    working: Sequence[PartialTokens] = ()

    def callbacks(
        self, working: Sequence[PartialTokens], seconds: float = 1e9, every: int = 1
    ) -> ProgressCallbacks:
        self.working = working
        return ProgressCallbacks(self.advance, self.save, seconds, every)

    def advance(self, count: int) -> None:
        self.reports += count > 0
        if count and self.reports == self.at:
            raise KeyboardInterrupt

    def save(self) -> None:
        self.saved.append([replace(d, tokens=d.tokens.copy()) for d in self.working])


def count(
    working: Sequence[PartialTokens],
    hop: float,
    primed: int = 0,
    at: int | None = None,
    characters: tuple[int, ...] = (),
    **callbacks: Any,
) -> Interruption:
    """Samples with `Counting`, as far as the `at`-th report of new tokens."""
    interruption = Interruption(at)
    windows = token_windows(TOTAL, CONTEXT_LENGTH, hop, primed)
    level = LevelSampler(0, counting(characters=characters), [])
    reports = interruption.callbacks(working, **callbacks)
    try:
        sample_windows(level, working, windows, positions(len(working)), reports)
    except KeyboardInterrupt:
        assert at is not None
    return interruption


@pytest.mark.parametrize("primed", [0, 1, 15, 16, 17, 43])
@pytest.mark.parametrize("hop", [0.1, 0.5, 0.75, 1.0])
def test_windows_are_joined_without_a_seam(hop, primed):
    working = partials([0, 1], primed)
    count(working, hop, primed)
    for partial in working:
        assert partial.tokens.tolist() == list(range(TOTAL))
        assert partial.num_done == TOTAL


@pytest.mark.parametrize("hop", [0.5, 1.0])
def test_a_song_shorter_than_a_window(hop):
    working = [PartialTokens(0, 0, np.zeros(5, np.int64), 0)]
    windows = token_windows(5, CONTEXT_LENGTH, hop)
    level = LevelSampler(0, counting(), [])
    sample_windows(level, working, windows, positions(1), ProgressCallbacks())
    assert working[0].tokens.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("at", range(1, TOTAL + 1))
def test_an_interruption_loses_nothing_that_was_sampled(at):
    working = partials([0, 1])
    count(working, hop=0.5, at=at)
    for partial in working:
        assert partial.num_done == at
        assert partial.tokens[:at].tolist() == list(range(at))
        assert not partial.tokens[at:].any()
    count(working, hop=0.5)
    assert [d.tokens.tolist() for d in working] == [list(range(TOTAL))] * 2


CHARACTERS = (0, 3, 4, 14, 15, 16, 17, 23, 24, 31, 32, 42, 43)  # on both sides of every border


def partly_sampled(done: int) -> list[int]:
    """The tokens after so many positions, with `CHARACTERS` and a hop fraction of a half."""
    whole = max(
        [w.end for w in token_windows(TOTAL, CONTEXT_LENGTH, 0.5) if w.end <= done], default=0
    )
    prior = Counting(characters=CHARACTERS)
    return [prior.stored(p) if p < whole else prior.sampled(p) for p in range(done)]


@pytest.mark.parametrize("at", range(1, TOTAL + 1))
def test_a_character_stays_until_its_window_is_complete_and_then_is_token_0(at):
    working = partials([0, 1])
    count(working, hop=0.5, at=at, characters=CHARACTERS)
    for partial in working:
        assert partial.num_done == at
        assert partial.tokens.tolist() == partly_sampled(at) + [0] * (TOTAL - at)
    count(working, hop=0.5, characters=CHARACTERS)
    assert [d.tokens.tolist() for d in working] == [partly_sampled(TOTAL)] * 2
    assert max(partly_sampled(TOTAL)) < TOTAL <= max(partly_sampled(15))


@pytest.mark.parametrize("every", [1, 3])
def test_characters_of_an_incomplete_window_are_saved_as_they_were_sampled(every):
    interruption = count(partials([0, 1]), 0.5, characters=CHARACTERS, seconds=-1.0, every=every)
    assert len(interruption.saved) > TOTAL / every
    for saved in interruption.saved:
        for partial in saved:
            assert partial.tokens[: partial.num_done].tolist() == partly_sampled(partial.num_done)


def test_each_save_holds_more_tokens_than_the_one_before():
    interruption = count(partials([0, 1]), hop=0.5, seconds=-1.0, every=3)
    lengths = [saved[0].num_done for saved in interruption.saved]
    assert lengths == sorted(lengths)
    assert len(lengths) > TOTAL / 3
    for saved in interruption.saved:
        for partial in saved:
            assert partial.tokens.tolist() == [
                *range(partial.num_done),
                *[0] * (TOTAL - partial.num_done),
            ]


def test_within_the_save_interval_only_windows_are_saved():
    interruption = count(partials([0, 1]), hop=0.5, seconds=1e9)
    assert [saved[0].num_done for saved in interruption.saved] == [
        w.end for w in token_windows(TOTAL, CONTEXT_LENGTH, 0.5)
    ]


def test_conditions_are_computed_once_for_each_window_that_is_sampled():
    computed: list[TokenWindow] = []

    def conditions(window: TokenWindow) -> Conditioning:
        computed.append(window)
        return positions(2).conditioning(window)

    windows = token_windows(TOTAL, CONTEXT_LENGTH, 0.5)
    level, working = LevelSampler(0, counting(), []), partials([0, 1], [30, 25])
    sample_windows(level, working, windows, Conditions(conditions), ProgressCallbacks())
    assert computed == [s for s in windows if s.end > 25]


@pytest.mark.parametrize("known", [[0, 0, 0], [5, 21, 44], [16, 17, 18]])
def test_reports_add_up_to_the_tokens_that_are_sampled(known):
    reports: list[int] = []
    level, windows = LevelSampler(0, counting(), []), token_windows(TOTAL, CONTEXT_LENGTH, 0.5)
    callbacks = ProgressCallbacks(reports.append, every=5)
    sample_windows(level, partials(range(3), known), windows, positions(3), callbacks)
    assert sum(reports) == 3 * TOTAL - sum(known)


@dataclass
class Recording:
    """A sampler that records its history argument."""

    histories: list[Tensor] = field(default_factory=list)

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        self.histories.append(history.clone())
        return logits


def test_the_history_of_samplers_is_the_window_before_the_position():
    spy: Any = Recording()
    windows = token_windows(TOTAL, CONTEXT_LENGTH, 0.5)
    level = LevelSampler(0, counting(), [spy])
    sample_windows(level, partials([0, 1]), windows, positions(2), ProgressCallbacks())
    expected = [list(range(s.start, n)) for s in windows for n in range(s.sample_from, s.end)]
    assert [h.tolist() for h in spy.histories] == [[row, row] for row in expected]


def test_samplers_are_applied_in_order():
    def only(token: int) -> Any:
        return lambda logits, history: torch.full_like(logits, -50.0).index_fill(
            1, torch.tensor([token]), 50.0
        )

    level = LevelSampler(0, one_prior(), [only(3), only(5)])
    working = [PartialTokens(0, 0, np.zeros(8, np.int64), 0)]
    sample_windows(
        level,
        working,
        token_windows(8, CONTEXT_LENGTH, 0.5),
        item_conditions([0]),
        ProgressCallbacks(),
    )
    assert working[0].tokens.tolist() == [5] * 8


CODEBOOK_SIZE = 24
#: An item that stands for no conditions.
UNCONDITIONAL = 99


@cache
def one_prior(prefix: int = 0) -> Prior:
    """Random weights, and logits that depend strongly on all that came before."""
    torch.manual_seed(0)
    size: dict[str, Any] = {
        "context_length": CONTEXT_LENGTH,
        "prefix_length": prefix,
        "rows": 4,
        "width": 32,
        "depth": 4,
        "heads": 2,
    }
    patterns = ("row", "column", "previous", "prefix" if prefix else "dense")
    prior = Prior(PriorConfig(**size, attention_patterns=patterns), CODEBOOK_SIZE, {}).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(8.0)
        prior.token_embedding.weight.mul_(4.0)
    return prior


def item_conditions(items: Sequence[int], prefix: int = 0) -> Conditions:
    """Conditions that are a function of the item and the window."""
    embeddings = torch.randn(CODEBOOK_SIZE, 32, generator=torch.Generator().manual_seed(0))

    def one(item: int, window: TokenWindow) -> Conditioning:
        generator = torch.Generator().manual_seed(1000 * item + window.start)
        start, per_token = (torch.randn(1, n, 32, generator=generator) for n in (1, CONTEXT_LENGTH))
        ids = torch.randint(CODEBOOK_SIZE, (1, prefix), generator=generator)
        before = Prefix(ids, 0.6 * embeddings, torch.ones(prefix)) if prefix else None
        return Conditioning(0.3 * start[:, 0], 0.3 * per_token, prefix=before)

    return Conditions(lambda window: stack_conditionings([one(item, window) for item in items]))


def sample_on(
    working: Sequence[PartialTokens],
    primed: int = 0,
    at: int | None = None,
    prefix: int = 0,
    samplers: Sequence[Sampler] = (),
) -> None:
    interruption, windows = Interruption(at), token_windows(TOTAL, CONTEXT_LENGTH, 0.5, primed)
    level = LevelSampler(2, one_prior(prefix), samplers)
    unconditional = [UNCONDITIONAL] * len(working) if level.guidance_samplers else []
    conditions = item_conditions([*(d.item for d in working), *unconditional], prefix)
    try:
        sample_windows(level, working, windows, conditions, interruption.callbacks(working))
    except KeyboardInterrupt:
        assert at is not None


def blank(items: Sequence[int], primer: Sequence[int] = (), seed: int = 3) -> list[PartialTokens]:
    song = np.zeros(TOTAL, np.int64)
    song[: len(primer)] = primer
    return [PartialTokens(item, seed, song.copy(), len(primer)) for item in items]


@cache
def songs(primer: tuple[int, ...] = (), prefix: int = 0) -> dict[int, list[int]]:
    """The tokens of 16 items that are sampled without interruption."""
    working = blank(range(16), primer)
    sample_on(working, len(primer), prefix=prefix)
    return {d.item: d.tokens.tolist() for d in working}


def tokens_of(working: Sequence[PartialTokens]) -> dict[int, list[int]]:
    return {d.item: d.tokens.tolist() for d in working}


def test_songs_differ_by_item_and_by_seed():
    assert len({tuple(song) for song in songs().values()}) == 16
    other = blank([0], seed=4)
    sample_on(other)
    assert other[0].tokens.tolist() != songs()[0]


@pytest.mark.parametrize("items", [[0], [9, 2], [15, 4, 0], [7] * 3])
def test_tokens_do_not_depend_on_the_other_items_of_the_batch(items):
    working = blank(items)
    sample_on(working)
    for partial in working:
        assert partial.tokens.tolist() == songs()[partial.item]


@cache
def guided(guidance: float) -> dict[int, list[int]]:
    working = blank(range(4))
    sample_on(working, samplers=[Guidance(guidance)])
    return tokens_of(working)


def test_guidance_of_1_is_no_guidance():
    assert guided(1.0) == {item: songs()[item] for item in range(4)}
    assert not any(guided(1.5)[item] == songs()[item] for item in range(4))


def test_guidance_of_0_is_unconditional():
    working = blank([3])
    level = LevelSampler(2, one_prior(), [])
    windows = token_windows(TOTAL, CONTEXT_LENGTH, 0.5)
    sample_windows(level, working, windows, item_conditions([UNCONDITIONAL]), ProgressCallbacks())
    assert working[0].tokens.tolist() == guided(0.0)[3]


@pytest.mark.parametrize("at", [1, 15, 16, 23, 44])
@pytest.mark.parametrize("items", [[0], [3, 1]])
def test_guided_tokens_do_not_depend_on_the_batch_or_on_interruptions(at, items):
    working = blank(items)
    sample_on(working, at=at, samplers=[Guidance(1.5)])
    sample_on(working, samplers=[Guidance(1.5)])
    assert tokens_of(working) == {item: guided(1.5)[item] for item in items}


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(1, TOTAL), min_size=1, max_size=3),
    st.lists(st.integers(0, 15), min_size=1, max_size=3, unique=True),
)
def test_tokens_do_not_depend_on_interruptions(stops, items):
    working = blank(items)
    for at in stops:
        sample_on(working, at=at)
        for partial in working:
            assert (
                partial.tokens[: partial.num_done].tolist()
                == songs()[partial.item][: partial.num_done]
            )
    sample_on(working)
    assert tokens_of(working) == {item: songs()[item] for item in items}


@settings(max_examples=8, deadline=None)
@given(st.dictionaries(st.integers(0, 15), st.integers(0, TOTAL), min_size=2, max_size=4))
def test_items_of_different_progress_are_sampled_together(progress):
    working = blank(list(progress))
    for partial in working:
        partial.num_done = progress[partial.item]
        partial.tokens[: partial.num_done] = songs()[partial.item][: partial.num_done]
    sample_on(working)
    assert tokens_of(working) == {item: songs()[item] for item in progress}


def test_known_tokens_are_not_sampled_again():
    working = blank([0, 1])
    working[0].tokens[:30], working[0].num_done = 9, 30  # nothing that it would sample
    sample_on(working)
    assert working[0].tokens[:30].tolist() == [9] * 30
    assert working[0].tokens[30:].tolist() != [9] * 14
    assert working[1].tokens.tolist() == songs()[1]


def sample_with_prefix(working: Sequence[PartialTokens], at: int | None = None) -> None:
    """Samples with a prior with a prefix, whose characters are as likely as its tokens."""
    sample_on(working, at=at, prefix=4)


def audible(partial: PartialTokens) -> list[int]:
    """The tokens so far, with token 0 in place of characters."""
    return [
        token if token < CODEBOOK_SIZE else 0
        for token in partial.tokens[: partial.num_done].tolist()
    ]


def test_sampled_characters_become_token_0():
    working = blank(range(16))
    sample_with_prefix(working, at=15)
    sampled = np.stack([d.tokens[:15] for d in working])
    assert 0.2 < (sampled >= CODEBOOK_SIZE).mean() < 0.8
    for partial in working:
        assert audible(partial) == songs(prefix=4)[partial.item][:15]
        assert max(songs(prefix=4)[partial.item]) < CODEBOOK_SIZE


@pytest.mark.parametrize("at", [1, 7, 15, 16, 17, 23, 24, 31, 33, 43, 44])
def test_tokens_with_characters_between_do_not_depend_on_interruptions(at):
    working = blank([3, 8])
    sample_with_prefix(working, at)
    for partial in working:
        assert partial.num_done == at
        assert audible(partial) == songs(prefix=4)[partial.item][:at]
    sample_with_prefix(working)
    assert tokens_of(working) == {3: songs(prefix=4)[3], 8: songs(prefix=4)[8]}


@settings(max_examples=8, deadline=None)
@given(st.dictionaries(st.integers(0, 15), st.integers(1, TOTAL), min_size=2, max_size=4))
def test_items_with_incomplete_windows_of_characters_are_sampled_together(progress):
    working = blank(list(progress))
    for partial in working:
        sample_with_prefix([partial], progress[partial.item])
    sample_with_prefix(working)
    assert tokens_of(working) == {item: songs(prefix=4)[item] for item in progress}


PRIMER = (5, 1, 4, 1, 3, 2, 0, 23, 5, 1, 4, 1, 3, 2, 0, 23, 5, 6, 7)


@pytest.mark.parametrize("length", [1, 4, 15, 16, 19])
def test_a_prompt_is_kept_and_changes_what_follows(length):
    primer = PRIMER[:length]
    assert all(tuple(song[:length]) == primer for song in songs(primer).values())
    changed = [songs(primer)[i][length:] != songs()[i][length:] for i in range(16)]
    assert sum(changed) > 10
    working = blank([3, 1], primer)
    for at in (3, 1, 20):
        sample_on(working, length, at)
    sample_on(working, length)
    assert tokens_of(working) == {item: songs(primer)[item] for item in (3, 1)}


def test_items_of_different_seeds_are_sampled_together():
    apart = [blank([3], seed=seed) for seed in (3, 4)]
    for each in apart:
        sample_on(each)
    together = [*blank([3], seed=3), *blank([3], seed=4)]
    sample_on(together)
    assert [each.tokens.tolist() for each in together] == [
        each[0].tokens.tolist() for each in apart
    ]
    assert together[0].tokens.tolist() == songs()[3] != together[1].tokens.tolist()
