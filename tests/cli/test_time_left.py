"""The time left for a whole job, with a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from jukebox_cli.cli.console import format_duration
from jukebox_cli.cli.time_left import TimeLeft
from jukebox_cli.interfaces.command_options import format_bytes
from jukebox_cli.sampling.stages import Stage


@dataclass
class Clock:
    """A clock that stands still."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def advance_evenly(clock: Clock, seconds: int, **stages: tuple[Callable[[int], None], int]) -> None:
    """Lets time pass, with so many steps a second of each stage."""
    for _ in range(seconds):
        clock.now += 1
        for advance, steps in stages.values():
            advance(steps)


def test_nothing_is_known_before_the_first_rate() -> None:
    clock = Clock()
    left = TimeLeft([Stage("level 2", 100), Stage("decode 0", 80, 20.0)], clock)
    assert left.seconds() is None
    advance = left.start("level 2", 100)
    assert left.seconds() is None
    clock.now += 60  # loading does not count
    advance(10)
    assert left.seconds() is None


def test_levels_one_after_another_are_added_up() -> None:
    clock = Clock()
    stages = [Stage("level 2", 100), Stage("level 1", 200), Stage("decode 0", 80, 20.0)]
    left = TimeLeft(stages, clock)
    advance = left.start("level 2", 100)
    advance(10)
    advance_evenly(clock, 4, top=(advance, 10))
    # 50 tokens and the 200 of level 1 at 10 a second; audio at the assumed rate
    assert left.seconds() == pytest.approx(50 / 10 + 200 / 10 + 80 / 20)
    advance_evenly(clock, 5, top=(advance, 10))
    advance = left.start("level 1", 200)
    assert left.seconds() == pytest.approx(200 / 10 + 4)  # the rate of the level before
    advance(50)
    advance_evenly(clock, 1, middle=(advance, 50))
    assert left.seconds() == pytest.approx(100 / 50 + 4)


def test_of_levels_in_parallel_the_slowest_counts() -> None:
    clock = Clock()
    left = TimeLeft(
        [Stage("level 1", 100), Stage("level 0", 400), Stage("decode 0", 80, 20)], clock
    )
    upper, lower = left.start("level 1", 100), left.start("level 0", 400)
    upper(0)
    advance_evenly(clock, 2, upper=(upper, 10))
    assert left.seconds() == pytest.approx(400 / 10 + 4)  # level 0 waits, as fast as level 1
    lower(0)
    advance_evenly(clock, 4, upper=(upper, 10), lower=(lower, 40))
    assert left.seconds() == pytest.approx(max(40 / 10, 240 / 40) + 4)
    advance_evenly(clock, 6, upper=(upper, 10), lower=(lower, 40))
    assert left.seconds() == pytest.approx(4)


def test_a_level_that_waits_gets_slower() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    advance = left.start("level 0", 100)
    advance(0)
    advance_evenly(clock, 2, lower=(advance, 10))
    assert left.seconds() == pytest.approx(8)
    clock.now += 2
    assert left.seconds() == pytest.approx(16)


def test_a_measured_rate_replaces_the_assumed_one() -> None:
    clock = Clock()
    left = TimeLeft([Stage("decode 0", 80, 20.0)], clock)
    assert left.seconds() == 4
    advance = left.start("decode 0", 80)
    advance(0)
    advance_evenly(clock, 2, decode=(advance, 10))
    assert left.seconds() == 6
    advance(60)
    assert left.seconds() == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (125.2, "2 min 5 s"),
        (12000, "3 h 20 min"),
    ],
)
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_sizes_are_readable() -> None:
    sizes = [format_bytes(count) for count in (2_600, 400_000, 12_300_000, 1_540_000_000)]
    assert sizes == ["3 kB", "0.4 MB", "12 MB", "1.5 GB"]
