"""The choice of how many positions are computed per pass."""

from __future__ import annotations

from jukebox_cli.engine.lookahead import RETRY, Lookahead


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(lookahead: Lookahead, clock: Clock, seconds: dict[int, float], times: int) -> list[int]:
    """The choices of some measurements, each of 32 tokens that take so many seconds each."""
    choices = []
    for _ in range(times):
        with lookahead.measure(32) as choice:
            clock.now += 32 * seconds[choice]
        choices.append(choice)
    return choices


def test_tries_every_choice_and_keeps_the_fastest() -> None:
    clock = Clock()
    lookahead = Lookahead((4, 2, 1), clock)
    assert run(lookahead, clock, {4: 3.0, 2: 1.0, 1: 2.0}, 6) == [4, 2, 1, 2, 2, 2]


def test_leaves_a_choice_that_became_slower() -> None:
    clock = Clock()
    lookahead = Lookahead((4, 1), clock)
    run(lookahead, clock, {4: 1.0, 1: 2.0}, 5)
    assert run(lookahead, clock, {4: 3.0, 1: 2.0}, 3) == [4, 1, 1]


def test_tries_again_after_a_while() -> None:
    clock = Clock()
    lookahead = Lookahead((4, 1), clock)
    run(lookahead, clock, {4: 2.0, 1: 1.0}, RETRY)
    assert run(lookahead, clock, {4: 0.5, 1: 1.0}, 3) == [4, 1, 4]
