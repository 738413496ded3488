"""Slices of a level: alike, and each token kept once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jukebox_cli.sampling.slice_layout import SliceLayout, plan_slices
from jukebox_cli.storage.segments import SlicePlan


def test_slices_of_a_new_song() -> None:
    plan = plan_slices(3, 0, 400, 64, 2)
    assert plan == SlicePlan(count=3, start=0, warmup=34, seam=4)
    layout = SliceLayout(plan, 400)
    assert (layout.step, layout.length) == (122, 156)
    assert [layout.start(n) for n in range(3)] == [0, 122, 244]
    assert [layout.boundary(n) for n in (1, 2)] == [156, 278]
    assert layout.seam_window(64) == (0, 34, 38)
    assert layout.num_draws(0) == 3 * 156 + 2 * 4
    windows = layout.windows(64, 0.5, 2)
    assert windows[:2] == [(0, 0, 64), (32, 64, 96)]
    assert windows[-1] == (92, 128, 156)


def test_slices_after_a_prompt_begin_within_it() -> None:
    assert plan_slices(2, 200, 400, 64, 2) == SlicePlan(2, start=168, warmup=32, seam=4)
    assert plan_slices(2, 10, 400, 64, 2) == SlicePlan(2, start=0, warmup=32, seam=4)


def test_a_song_too_short_for_two_windows_is_not_sliced() -> None:
    assert plan_slices(4, 0, 158, 64, 2) is None
    assert plan_slices(4, 0, 160, 64, 2) == SlicePlan(2, start=0, warmup=32, seam=4)
    assert plan_slices(1, 0, 4000, 64, 2) is None


@given(
    st.integers(1, 40),
    st.integers(0, 300),
    st.integers(1, 900),
    st.integers(1, 40),
    st.sampled_from([1, 2, 4]),
)
def test_slices_cover_a_segment(count: int, first: int, added: int, rows: int, ratio: int) -> None:
    first, total, context_length = first * ratio, (first + added) * ratio, 4 * rows * ratio
    plan = plan_slices(count, first, total, context_length, ratio)
    if plan is None:
        return
    layout = SliceLayout(plan, total)
    boundaries = [first, *(layout.boundary(n) for n in range(1, plan.count)), total]
    assert plan.start <= first < boundaries[1]
    for number, (start, end) in enumerate(pairwise(boundaries)):
        assert end == layout.start(number) + layout.length
        assert end - start >= min(context_length, layout.step)
        assert start % ratio == layout.start(number) % ratio == 0
    assert layout.step >= context_length
    window = layout.seam_window(context_length)
    assert 0 <= window.start < window.sample_from < window.end <= layout.length
    assert window.start % ratio == 0
    assert window.end - window.start <= context_length
