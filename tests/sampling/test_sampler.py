"""Sampling of windows: they are joined without a seam, saved and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    sample_windows,
)
from jukebox_cli.sampling.windows import TokenWindow, token_windows
from support.interruptions import CONTEXT_LENGTH, TOTAL, Conditions, Interruption


def partials(items: Sequence[int], known: Sequence[int] | int = 0) -> list[PartialTokens]:
    """Items whose token at position p is p, as far as it is known."""
    known = [known] * len(items) if isinstance(known, int) else known
    return [
        PartialTokens(item, 0, np.where(np.arange(TOTAL) < done, np.arange(TOTAL), 0), done)
        for item, done in zip(items, known, strict=True)
    ]


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
        """The token at a position after its window is complete: 0 in place of a character."""
        return 0 if place in self.characters else place


def counting(**fields: Any) -> Any:
    """`Counting` where a prior is expected."""
    return Counting(**fields)


def positions(batch: int) -> Conditions:
    """Conditions with the positions of a window in its item, for `Counting`."""

    def of_window(window: TokenWindow) -> Conditioning:
        numbers = window.start + torch.arange(CONTEXT_LENGTH, dtype=torch.float)
        return Conditioning(per_token=numbers[None, :, None].expand(batch, -1, -1))

    return Conditions(of_window)


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
    """The stored tokens after `done` positions, with `CHARACTERS` and a hop fraction of 0.5."""
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
