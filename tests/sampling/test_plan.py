"""Plans of jobs: the batch that is measured, memory, and how levels are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import pytest

from jukebox_cli.sampling import plan
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.measure import Measurement, measure_job
from jukebox_cli.sampling.plan import MeasuredJob, measure_levels, plan_job
from jukebox_cli.sampling.projection import Schedule


def test_memory_grows_with_the_batch(job: Callable[..., Job]) -> None:
    found = measure_job(job(), [2, 1], [1], 0.0, decode=False)
    measured = Measurement(found.levels, None, 100, 1000, None)
    each = [level.window_bytes for level in found.levels]

    def memory(schedule: Schedule, batch: int) -> int | None:
        return MeasuredJob(job(), measured, schedule).memory(batch)

    assert memory(Schedule(), 1) == 1000
    assert memory(Schedule(), 4) == 1000 + 3 * max(each)
    assert memory(Schedule(cores=2), 4) == 1000 + 3 * sum(each)
    assert memory(Schedule(cores=2, worker_start=1.0), 1) == 1000 + 100
    unknown = replace(measured, peak_memory=None)
    assert MeasuredJob(job(), unknown, Schedule()).memory(1) is None


def test_a_plan_measures_the_batch_that_is_sampled(job: Callable[..., Job]) -> None:
    assert plan_job(job(), "top", perf_counter()).num_rows == {2: 2}
    found = plan_job(job(batch_size=1), "tokens", perf_counter())
    assert (found.num_rows, list(found.levels)) == ({2: 1, 1: 1, 0: 1}, [2, 1, 0])
    assert found.projection.first_sound is None
    assert found.tokens_per_second(0) == found.levels[0].speeds[0].tokens_per_second


def test_a_plan_measures_slices(job: Callable[..., Job]) -> None:
    found = plan_job(job(parallel=3), "tokens", perf_counter())
    assert found.num_rows == {2: 2, 1: 4, 0: 6}
    assert [each.batch for each in found.levels[0].speeds] == [2, 4, 6]
    assert found.tokens_per_second(0) == found.levels[0].speeds[2].tokens_per_second
    # no room for both: one item after another
    assert plan_job(job(parallel=3, batch_size=3), "tokens", perf_counter()).num_rows[0] == 3


def test_levels_stay_loaded_if_they_are_sampled_in_parallel(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "choose_worker", lambda job, levels: LevelProcess)
    schedule = measure_levels(job(), [2, 1], [1], 0.0, started=perf_counter()).schedule
    assert schedule.worker_start == schedule.start > 0
    monkeypatch.setattr(plan, "choose_worker", lambda job, levels: None)
    schedule = measure_levels(job(), [2, 1], [1], 0.0, started=perf_counter()).schedule
    assert (schedule.worker_start, schedule.cores) == (0.0, 1)
