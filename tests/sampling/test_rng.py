"""Drawing: a token is a pure function of its logits and one uniform number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox_cli.sampling.rng import draw_tokens, uniform_numbers

LAST = 1 - 2.0**-53  # the largest number that `uniforms` can give
NEVER = float("-inf")

places = st.integers(0, 5000)
seeds = st.integers(0, 2**63 - 1)


def test_the_numbers_of_a_seed_never_change():
    """A seed must give the same songs in every version."""
    expected = [0.8716703974447304, 0.6644508685053699, 0.4569211512992144]
    assert uniform_numbers(1, 2, 0, 0, 3).tolist() == expected


@settings(deadline=None)
@given(seeds, places, st.integers(0, 8), places, places, places)
def test_a_number_does_not_depend_on_the_range(seed, item, level, first, more, at):
    numbers = uniform_numbers(seed, item, level, first, first + more + 1)
    place = first + at % (more + 1)
    assert len(numbers) == more + 1
    assert numbers[place - first] == uniform_numbers(seed, item, level, place, place + 1)[0]


def test_every_seed_item_level_and_position_has_numbers_of_its_own():
    every = [
        uniform_numbers(seed, item, level, 0, 50)
        for seed in (0, 1, 2**63 - 1)
        for item in (0, 1, 2, 10_000)
        for level in (0, 1, 2)
    ]
    assert len(np.unique(np.concatenate(every))) == 36 * 50


def chi_square(counts: np.ndarray, shares: np.ndarray) -> float:
    expected = shares * counts.sum()
    return float(np.square(counts - expected).dot(1 / expected))


@pytest.mark.parametrize("level", [0, 1])
def test_the_numbers_are_spread_evenly_over_0_to_1(level):
    numbers = np.concatenate([uniform_numbers(3, item, level, 7, 2007) for item in range(10)])
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, 20, (0, 1))[0]
    assert chi_square(counts, np.full(20, 1 / 20)) < 43.8  # p = 0.001 at 19 degrees


def test_neighbouring_numbers_are_uncorrelated():
    numbers = uniform_numbers(3, 0, 0, 0, 20_001)
    beside = np.corrcoef(numbers[:-1], numbers[1:])[0, 1]
    items = np.corrcoef(numbers, uniform_numbers(3, 1, 0, 0, 20_001))[0, 1]
    assert abs(beside) < 0.025
    assert abs(items) < 0.025


def test_tokens_are_as_frequent_as_they_are_likely():
    logits = torch.tensor([2.0, NEVER, 1.0, 0.0, -1.0, 1.5])
    numbers = torch.from_numpy(uniform_numbers(5, 0, 0, 0, 20_000))
    tokens = draw_tokens(logits.expand(20_000, -1), numbers)
    counts, shares = tokens.bincount(minlength=6).numpy(), logits.softmax(0).double().numpy()
    assert counts[1] == 0
    assert chi_square(np.delete(counts, 1), np.delete(shares, 1)) < 18.5  # 4 degrees


def below(number: float) -> float:
    return float(np.nextafter(number, 0))


@pytest.mark.parametrize(
    ("uniform", "token"),
    [
        (0.0, 0),
        (below(0.25), 0),
        (0.25, 1),
        (below(0.5), 1),
        (0.5, 2),
        (below(0.75), 2),
        (0.75, 3),
        (LAST, 3),
    ],
)
def test_the_cdf_is_inverted_to_the_last_bit(uniform, token):
    assert draw_tokens(torch.zeros(1, 4), torch.tensor([uniform], dtype=torch.double)).tolist() == [
        token
    ]


@pytest.mark.parametrize(
    ("logits", "lowest", "highest"),
    [
        ([NEVER, 0.0, 0.0, NEVER], 1, 2),
        ([NEVER, NEVER, 5.0], 2, 2),
        ([5.0, NEVER, NEVER], 0, 0),
        ([0.0, NEVER, 0.0], 0, 2),
        ([50.0, -200.0], 0, 0),  # a probability of 0 in float32
        ([-1e4, 1e4, -1e4], 1, 1),
    ],
)
def test_the_first_and_last_numbers_give_the_first_and_last_token_with_mass(
    logits, lowest, highest
):
    numbers = torch.tensor([0.0, LAST, 1.0], dtype=torch.double)
    assert draw_tokens(torch.tensor([logits] * 3), numbers).tolist() == [lowest, highest, highest]


rows = st.lists(
    st.one_of(st.floats(-30, 30, width=32), st.just(NEVER)), min_size=5, max_size=5
).filter(lambda row: max(row) > NEVER)
numbers = st.one_of(st.floats(0, LAST), st.sampled_from([0.0, LAST, 0.5]))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(rows, numbers), min_size=1, max_size=9))
def test_rows_are_drawn_independently_and_as_by_numpy(given):
    logits = torch.tensor([row for row, _ in given])
    uniform = torch.tensor([number for _, number in given], dtype=torch.double)
    tokens = draw_tokens(logits, uniform)
    for i, (row, number) in enumerate(given):
        assert draw_tokens(logits[i : i + 1], uniform[i : i + 1])[0] == tokens[i]
        assert row[tokens[i]] > NEVER
        mass = logits[i].softmax(0).double().numpy().cumsum()
        above = np.flatnonzero(mass > number * mass[-1])
        assert tokens[i] == (above[0] if len(above) else np.flatnonzero(mass == mass[-1])[0])
