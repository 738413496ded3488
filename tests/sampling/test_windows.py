"""Which windows a level is drawn in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox_cli.sampling.windows import TokenWindow, token_windows


@pytest.mark.parametrize(
    ("asked", "wanted"),
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
def test_windows_of(asked, wanted):
    assert token_windows(**asked) == [TokenWindow(*w) for w in wanted]


@st.composite
def asked(draw: st.DrawFn) -> dict[str, float]:
    unit = draw(st.sampled_from([1, 2, 4, 8]))
    total = unit * draw(st.integers(1, 300))
    frames = unit * draw(st.integers(1, 40))
    hop = draw(st.floats(0, 1, exclude_min=True))
    given = draw(st.one_of(st.just(0), st.integers(0, total)))
    return {
        "total": total,
        "context_length": frames,
        "hop_fraction": hop,
        "primed": given,
        "multiple_of": unit,
    }


@settings(max_examples=150, deadline=None)
@given(asked())
def test_every_token_that_is_not_given_is_drawn_exactly_once_and_in_order(asked):
    drawn = [n for w in token_windows(**asked) for n in range(w.sample_from, w.end)]
    assert drawn == list(range(asked["primed"], asked["total"]))


@settings(max_examples=150, deadline=None)
@given(asked())
def test_a_window_lies_in_the_song_and_begins_at_a_whole_token_of_the_level_above(asked):
    for window in token_windows(**asked):
        assert window.start % asked["multiple_of"] == 0
        assert 0 <= window.start <= window.sample_from < window.end
        assert window.end == min(window.start + asked["context_length"], asked["total"])


@settings(max_examples=150, deadline=None)
@given(asked())
def test_a_window_is_primed_with_what_the_hop_leaves_of_the_one_before(asked):
    step = (
        max(1, round(asked["context_length"] * asked["hop_fraction"] / asked["multiple_of"]))
        * asked["multiple_of"]
    )
    found = token_windows(**asked)
    for before, after in pairwise(found):
        assert before.start < after.start <= before.start + step
        assert after.sample_from == before.end
        assert after.sample_from - after.start >= asked["context_length"] - step
    for window in found[:-1]:
        assert window.start % step == 0


@settings(max_examples=150, deadline=None)
@given(asked())
def test_the_last_window_ends_with_the_song_and_is_full_if_the_song_is_long_enough(asked):
    for last in token_windows(**asked)[-1:]:
        assert last.end == asked["total"]
        assert last.end - last.start == min(asked["context_length"], asked["total"])


@settings(max_examples=100, deadline=None)
@given(asked())
def test_what_is_given_changes_no_window_that_begins_after_it(asked):
    whole = token_windows(**{**asked, "primed": 0})
    later = [w for w in token_windows(**asked) if w.sample_from > asked["primed"]]
    assert later == [w for w in whole if w in later]
