"""Times from measured speeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.measure import BatchSpeed, DecodeSpeed, LevelSpeed
from jukebox_cli.sampling.projection import (
    LevelTime,
    Schedule,
    StageSeconds,
    TimedWindow,
    finish_times,
    level_time,
    project,
    speed_of,
)
from jukebox_cli.sampling.slice_layout import SliceLayout
from jukebox_cli.sampling.slice_plans import with_slice_plans
from jukebox_cli.sampling.slices import sliced_items
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import ComputeSettings, SlicePlan
from support.jobs import make_job

#: 0.5 s of conditions a window, 0.01 s a position of the prompt, 0.1 s a position.
SPEED = BatchSpeed(1, 0.5, 0.01, 0.1)


def speed(level: int, *speeds: BatchSpeed) -> LevelSpeed:
    return LevelSpeed(level, ComputeSettings("torch", "fp32"), 1, 2.0, 1, 1, speeds or (SPEED,))


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Callable[..., Job]:
    """A job of items with 100, 200 and 400 tokens from the top: windows of 64 tokens."""

    def make(items: Sequence[int] = (0,), batch_size: int = 16) -> Job:
        return make_job(tmp_path / "run", tiny, registry, items, batch_size=batch_size)

    return make


def test_a_level_takes_the_time_of_its_windows(job: Callable[..., Job]) -> None:
    windows = job().segment_windows(2, 0)[0].windows
    prompts = sum(window.sample_from - window.start for window in windows)
    time = level_time(job(), speed(2))
    assert (len(time.windows), prompts > 0) == (len(windows), True)
    stages = time.stages
    assert (stages.load, stages.conditions) == (2.0, 0.5 * len(windows))
    assert stages.prefill == pytest.approx(0.01 * prompts)
    assert stages.sampling == pytest.approx(0.1 * 100)
    assert sum(each.seconds for each in time.windows) == pytest.approx(stages.total - 2.0)


def test_items_are_sampled_in_batches(job: Callable[..., Job]) -> None:
    one = level_time(job(), speed(2)).stages.sampling
    five = level_time(job(range(5), 2), speed(2, BatchSpeed(2, 1.0, 0.02, 0.15)))
    assert five.stages.sampling == pytest.approx(one / 0.1 * 0.15 * 3)
    assert {window.batch for window in five.windows} == {0, 1, 2}


def test_a_batch_takes_at_most_the_time_of_a_larger_one() -> None:
    speeds = speed(0, SPEED, BatchSpeed(4, 2.0, 0.04, 0.2))
    assert speed_of(speeds, 1) == SPEED
    assert speed_of(speeds, 3) == speeds.speeds[1]
    assert speed_of(speeds, 8) == BatchSpeed(8, 4.0, 0.08, 0.4)
    assert speeds.speeds[1].tokens_per_second == 20
    assert speeds.speeds[1].prefill_tokens_per_second == 100


UPPER = LevelTime(
    StageSeconds(load=1.0), (TimedWindow(0, 50, 0, 10.0), TimedWindow(0, 100, 0, 10.0))
)
LOWER = LevelTime(
    StageSeconds(load=2.0), (TimedWindow(0, 100, 50, 3.0), TimedWindow(0, 200, 100, 3.0))
)


def test_levels_follow_each_other() -> None:
    assert finish_times([UPPER, LOWER], parallel=False) == [[11, 21], [26, 29]]


def test_parallel_levels_wait_for_the_tokens_above() -> None:
    assert finish_times([UPPER, LOWER], parallel=True) == [[11, 21], [14, 24]]


def test_tokens_that_are_on_disk_are_not_awaited() -> None:
    missing = LevelTime(UPPER.stages, UPPER.windows[1:])
    waiting = LOWER.windows[0]._replace(upper_end=100)
    lower = LevelTime(LOWER.stages, (waiting._replace(batch=1), waiting))
    assert finish_times([missing, lower], parallel=True) == [[11], [5, 14]]


def test_a_job_takes_its_levels_and_decoding(job: Callable[..., Job]) -> None:
    levels = {level: speed(level) for level in (2, 1, 0)}
    decode = DecodeSpeed(load=3.0, sample=0.001)
    projection = project(job(), levels, decode, Schedule(start=1.0))
    work = sum(level_time(job(), each).stages.total for each in levels.values())
    assert projection.total == pytest.approx(1.0 + work + 3.0 + 1.59)
    assert projection.stages.total == pytest.approx(projection.total)
    assert list(projection.levels) == [2, 1, 0]
    top_and_middle = projection.levels[2] + projection.levels[1]
    first = level_time(job(), levels[0]).windows[0].seconds
    sound = 1.0 + top_and_middle + 2.0 + first + 3.0 + 0.256  # a window has 64 tokens of 4 samples
    assert projection.first_sound == pytest.approx(sound)


def test_parallel_levels_share_the_cores(job: Callable[..., Job]) -> None:
    levels = {level: speed(level) for level in (2, 1, 0)}
    one, two, many = (
        project(job(), levels, None, Schedule(cores=cores)).total for cores in (1, 2, 99)
    )
    assert one > two >= many
    assert two >= one / 2
    assert project(job(), levels, None, Schedule()).first_sound is None


def test_processes_of_other_levels_start_first(job: Callable[..., Job]) -> None:
    levels = {level: speed(level) for level in (2, 1, 0)}
    schedule = Schedule(worker_start=5.0, cores=99)
    assert project(job(), levels, None, schedule).stages.load == 3 * 2.0 + 2 * 5.0


def test_slices_are_sampled_side_by_side(job: Callable[..., Job]) -> None:
    settings = ComputeSettings("torch", "fp32")
    base, specs = job(), {}
    for item, spec in base.specs.items():
        segment = spec.segments[0].with_compute_settings(0, settings)
        specs[item] = spec.with_segment(0, segment)
    sliced = with_slice_plans(replace(base, specs=specs, parallel=3), [0])
    time = level_time(sliced, speed(0, BatchSpeed(3, 0.5, 0.01, 0.1)))
    layout = SliceLayout(SlicePlan(3, 0, 34, 4), 400)
    assert time.stages.sampling == pytest.approx(0.1 * (layout.length + 4))
    assert [each.end for each in time.windows] == [0] * (len(time.windows) - 1) + [400]
    assert max(each.upper_end for each in time.windows) == 200
    projection = project(sliced, {0: speed(0, SPEED.scaled(3))}, DecodeSpeed(0.0, 0.0), Schedule())
    assert projection.first_sound == pytest.approx(projection.total)
    write_slices(sliced, 100, 40, 60)
    time = level_time(sliced, speed(0, BatchSpeed(3, 0.5, 0.01, 0.1)))
    assert time.stages.sampling == pytest.approx(0.1 * (layout.length - 40 + 4))  # the least far
    write_slices(sliced, *[layout.length] * 3)
    time = level_time(sliced, speed(0, BatchSpeed(3, 0.5, 0.01, 0.1)))
    assert time.stages.sampling == pytest.approx(0.1 * 4)


def write_slices(job: Job, *lengths: int) -> None:
    """Files of half-sampled slices at level 0."""
    (sliced,) = sliced_items(job, 0, {0: job.segment_windows(0, 0)[0]})
    for number, length in enumerate(lengths):
        sliced.slice_row(number).write(np.zeros(length, np.int64), None)
