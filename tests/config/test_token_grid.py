"""Conversions between samples and tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.config.token_grid import TokenGrid

GRID = TokenGrid((4, 8, 32))


def test_a_codec_has_the_grid_of_its_hop_lengths() -> None:
    assert VQVAEConfig().token_grid == TokenGrid((8, 32, 128))


def test_levels_are_counted_from_the_finest() -> None:
    assert (GRID.num_levels, GRID.top_level, GRID.top_hop_length) == (3, 2, 32)


def test_ratios_to_the_level_above_and_to_the_top() -> None:
    assert [GRID.ratio(level) for level in range(3)] == [2, 4, 1]
    assert [GRID.tokens_per_top_token(level) for level in range(3)] == [8, 4, 1]


@pytest.mark.parametrize(
    ("num_samples", "covering", "whole"),
    [(1, 1, 1), (31, 1, 1), (32, 1, 1), (33, 2, 1), (63, 2, 1), (64, 2, 2), (65, 3, 2)],
)
def test_tokens_are_counted_in_whole_tokens_of_the_top_level(
    num_samples: int, covering: int, whole: int
) -> None:
    for level, per_top_token in enumerate((8, 4, 1)):
        assert GRID.num_tokens(level, num_samples) == covering * per_top_token
        assert GRID.num_whole_tokens(level, num_samples) == whole * per_top_token


@pytest.mark.parametrize(
    ("num_samples", "floor", "ceil"), [(0, 0, 0), (1, 0, 32), (32, 32, 32), (33, 32, 64)]
)
def test_samples_are_rounded_to_whole_tokens_of_the_top_level(
    num_samples: int, floor: int, ceil: int
) -> None:
    assert (GRID.floor_samples(num_samples), GRID.ceil_samples(num_samples)) == (floor, ceil)


def test_the_tokens_above_a_range() -> None:
    assert [GRID.upper_range(level, 8, 24) for level in range(3)] == [(4, 12), (2, 6), (8, 24)]


@given(
    st.lists(st.sampled_from([2, 4, 8]), min_size=1, max_size=4),
    st.integers(1, 10**9),
    st.data(),
)
def test_all_levels_cover_the_same_samples(
    strides: list[int], num_samples: int, data: st.DataObject
) -> None:
    grid = VQVAEConfig(
        strides=tuple((stride,) for stride in strides),
        widths=(1,) * len(strides),
        depths=(1,) * len(strides),
    ).token_grid
    level = data.draw(st.integers(0, grid.top_level))
    covered = grid.num_samples(level, grid.num_tokens(level, num_samples))
    assert covered == grid.ceil_samples(num_samples) >= num_samples
    whole = grid.num_samples(level, grid.num_whole_tokens(level, num_samples))
    assert whole == max(grid.top_hop_length, grid.floor_samples(num_samples))
