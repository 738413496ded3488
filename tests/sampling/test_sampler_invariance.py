"""Tokens do not depend on the batch, on interruptions, or on what was sampled before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jukebox_plugins.samplers import Guidance

from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    sample_windows,
)
from jukebox_cli.sampling.windows import token_windows
from support.interruptions import CONTEXT_LENGTH, TOTAL
from support.songs import (
    CODEBOOK_SIZE,
    UNCONDITIONAL,
    blank,
    item_conditions,
    one_prior,
    sample_on,
    tokens_of,
)


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


@cache
def songs(primer: tuple[int, ...] = (), prefix: int = 0) -> dict[int, list[int]]:
    """The tokens of 16 items that are sampled without interruption."""
    working = blank(range(16), primer)
    sample_on(working, len(primer), prefix=prefix)
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
