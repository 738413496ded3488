"""The windows of a level, and of the segments of an item."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox_cli.config.token_grid import TokenGrid
from jukebox_cli.sampling.windows import TokenWindow, segment_windows, token_windows
from jukebox_cli.storage.segments import ItemSpec, Prompt, Segment

#: Arguments of `token_windows`.
Arguments = dict[str, Any]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            {"total": 10, "context_length": 4, "hop_fraction": 1.0},
            [(0, 0, 4), (4, 4, 8), (6, 8, 10)],
        ),
        (
            {"total": 10, "context_length": 4, "hop_fraction": 0.5},
            [(0, 0, 4), (2, 4, 6), (4, 6, 8), (6, 8, 10)],
        ),
        ({"total": 3, "context_length": 4, "hop_fraction": 0.5}, [(0, 0, 3)]),
        ({"total": 4, "context_length": 4, "hop_fraction": 0.25}, [(0, 0, 4)]),
        ({"total": 5, "context_length": 4, "hop_fraction": 1.0}, [(0, 0, 4), (1, 4, 5)]),
        (
            {"total": 10, "context_length": 4, "hop_fraction": 0.5, "primed": 5},
            [(2, 5, 6), (4, 6, 8), (6, 8, 10)],
        ),
        (
            {"total": 10, "context_length": 4, "hop_fraction": 0.5, "primed": 4},
            [(2, 4, 6), (4, 6, 8), (6, 8, 10)],
        ),
        ({"total": 10, "context_length": 4, "hop_fraction": 0.5, "primed": 10}, []),
        (
            {"total": 12, "context_length": 8, "hop_fraction": 0.3, "multiple_of": 4},
            [(0, 0, 8), (4, 8, 12)],
        ),
        (
            {"total": 10, "context_length": 4, "hop_fraction": 0.001},
            [(s, s and s + 3, s + 4) for s in range(7)],
        ),
    ],
)
def test_windows_of_items_of_several_lengths(
    arguments: Arguments, expected: list[tuple[int, int, int]]
) -> None:
    assert token_windows(**arguments) == [TokenWindow(*w) for w in expected]


@st.composite
def arguments(draw: st.DrawFn) -> Arguments:
    multiple_of = draw(st.sampled_from([1, 2, 4, 8]))
    total = multiple_of * draw(st.integers(1, 300))
    context_length = multiple_of * draw(st.integers(1, 40))
    hop_fraction = draw(st.floats(0, 1, exclude_min=True))
    primed = draw(st.one_of(st.just(0), st.integers(0, total)))
    return {
        "total": total,
        "context_length": context_length,
        "hop_fraction": hop_fraction,
        "primed": primed,
        "multiple_of": multiple_of,
    }


@settings(max_examples=150, deadline=None)
@given(arguments())
def test_every_token_after_the_prompt_is_sampled_once_and_in_order(arguments: Arguments) -> None:
    sampled = [n for w in token_windows(**arguments) for n in range(w.sample_from, w.end)]
    assert sampled == list(range(arguments["primed"], arguments["total"]))


@settings(max_examples=150, deadline=None)
@given(arguments())
def test_a_window_lies_in_the_item_and_starts_at_a_token_of_the_level_above(
    arguments: Arguments,
) -> None:
    for window in token_windows(**arguments):
        assert window.start % arguments["multiple_of"] == 0
        assert 0 <= window.start <= window.sample_from < window.end
        assert window.end == min(window.start + arguments["context_length"], arguments["total"])


@settings(max_examples=150, deadline=None)
@given(arguments())
def test_the_prompt_of_a_window_is_what_the_hop_leaves_of_the_one_before(
    arguments: Arguments,
) -> None:
    context_length, multiple_of = arguments["context_length"], arguments["multiple_of"]
    step = context_length * arguments["hop_fraction"] / multiple_of
    step = max(1, round(step)) * multiple_of
    found = token_windows(**arguments)
    for before, after in pairwise(found):
        assert before.start < after.start <= before.start + step
        assert after.sample_from == before.end
        assert after.sample_from - after.start >= arguments["context_length"] - step
    for window in found[:-1]:
        assert window.start % step == 0


@settings(max_examples=150, deadline=None)
@given(arguments())
def test_the_last_window_ends_with_the_item_and_is_full_if_the_item_is_long_enough(
    arguments: Arguments,
) -> None:
    for last in token_windows(**arguments)[-1:]:
        assert last.end == arguments["total"]
        assert last.end - last.start == min(arguments["context_length"], arguments["total"])


@settings(max_examples=100, deadline=None)
@given(arguments())
def test_a_prompt_changes_no_window_that_starts_after_it(arguments: Arguments) -> None:
    whole = token_windows(**{**arguments, "primed": 0})
    later = [w for w in token_windows(**arguments) if w.sample_from > arguments["primed"]]
    assert later == [w for w in whole if w in later]


# segments

GRID = TokenGrid((4, 8, 16))
SEGMENT = Segment(0, 3, {}, ({}, {}, {}), (0.5, 0.5, 0.5), (None, None, None))


def test_a_segment_is_sampled_in_windows_of_its_own() -> None:
    spec = ItemSpec(320, (SEGMENT,)).extended(640, hop_fraction=(0.5, 0.5, 1.0))
    first, second = segment_windows(spec, 2, GRID, context_length=16)
    assert (first.number, first.num_samples, first.first, first.end) == (0, 320, 0, 20)
    assert list(first.windows) == token_windows(20, 16, 0.5)
    assert (second.number, second.num_samples, second.first, second.end) == (1, 640, 20, 40)
    assert list(second.windows) == token_windows(40, 16, 1.0, primed=20)


def test_a_token_that_is_partly_of_silence_belongs_to_the_next_segment() -> None:
    spec = ItemSpec(330, (SEGMENT,)).extended(650)
    first, second = segment_windows(spec, 1, GRID, context_length=16)
    assert (first.end, second.first, second.end) == (40, 40, 82)
    # the windows are those of the segment alone, without the one that samples its last tokens
    *windows, last = token_windows(42, 16, 0.5, multiple_of=2)
    assert (list(first.windows), last) == (windows, TokenWindow(26, 40, 42))
    assert list(second.windows) == token_windows(82, 16, 0.5, primed=40, multiple_of=2)


def test_a_prompt_is_not_sampled() -> None:
    prompt = replace(SEGMENT, prompt=Prompt("abc", 320))
    assert segment_windows(ItemSpec(320, (prompt,)), 0, GRID, 16) == []
    (only,) = segment_windows(ItemSpec(320, (prompt,)).extended(640), 0, GRID, 16)
    assert (only.number, only.first, only.end) == (1, 80, 160)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=4),
    st.integers(0, 2),
    st.sampled_from([0.1, 0.5, 1.0]),
)
def test_segments_sample_every_token_once_and_in_order(
    lengths: list[int], level: int, hop_fraction: float
) -> None:
    spec = ItemSpec(lengths[0], (replace(SEGMENT, hop_fraction=(hop_fraction,) * 3),))
    for length in lengths[1:]:
        spec = spec.extended(spec.num_samples + length)
    parts = segment_windows(spec, level, GRID, context_length=16)
    windows = [window for part in parts for window in part.windows]
    sampled = [n for window in windows for n in range(window.sample_from, window.end)]
    assert sampled == list(range(GRID.num_tokens(level, spec.num_samples)))
    assert all(0 < window.end - window.start <= 16 for window in windows)
