"""What a job takes before it is done: time, memory and disk, from a short measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from jukebox_cli.sampling.disk_space import disk_bytes
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.pipeline import choose_worker
from jukebox_cli.sampling.projection import Projection, Schedule, project, speed_of
from jukebox_cli.sampling.slice_plans import rows_per_item

if TYPE_CHECKING:
    from jukebox_cli.sampling.measure import LevelSpeed, Measurement

#: Seconds that each level is sampled for.
PLAN_SECONDS = 0.2

OnStage = Callable[[str], None]


@dataclass(frozen=True)
class MeasuredJob:
    """A job with compute settings, what was measured of it, and how its levels are computed."""

    job: Job
    measurement: Measurement
    schedule: Schedule

    @property
    def levels(self) -> dict[int, LevelSpeed]:
        """From the top."""
        return {each.level: each for each in self.measurement.levels}

    def projection(self) -> Projection:
        return project(self.job, self.levels, self.measurement.decode, self.schedule)

    def num_rows(self, level: int, batch: int) -> int:
        """Rows that are sampled side by side at a level, in batches of so many items: more than
        that if items are sampled in slices."""
        rows = rows_per_item(self.job, level)
        return max(1, min(batch, self.job.batch_size // rows)) * rows if rows > 1 else batch

    def memory(self, batch: int) -> int | None:
        """Bytes at the peak of sampling with batches of a size; None if it is not known."""
        measured = self.measurement
        if measured.peak_memory is None or measured.base_memory is None:
            return None
        more = [
            each.window_bytes * (self.num_rows(each.level, batch) - each.speeds[0].batch)
            for each in measured.levels
        ]
        if self.schedule.cores == 1:
            return measured.peak_memory + max([0, *more])
        num_processes = len(more) - 1 if self.schedule.worker_start else 0
        return measured.peak_memory + sum(more) + num_processes * measured.base_memory


def measure_levels(
    job: Job,
    levels: Sequence[int],
    batch_sizes: Sequence[int],
    seconds: float,
    *,
    started: float,
    decode: bool = True,
    on_stage: OnStage = lambda stage: None,
) -> MeasuredJob:
    """Measures levels of a job, from the top, with some batch sizes, for `seconds` each.

    started: when the command began, of `time.perf_counter`. Raises InputError as sampling does.
    """
    from jukebox_cli.engine.loader import available_cores
    from jukebox_cli.sampling.compute import with_settings
    from jukebox_cli.sampling.measure import measure_job

    job = with_settings(job, levels)
    worker = choose_worker(job, levels)
    start = perf_counter() - started
    measurement = measure_job(
        job,
        levels,
        batch_sizes,
        seconds,
        keep=worker is not None,
        decode=decode,
        on_stage=on_stage,
    )
    worker_start = start if worker is LevelProcess else 0.0
    cores = available_cores() if worker else 1
    return MeasuredJob(job, measurement, Schedule(start, worker_start, cores))


@dataclass(frozen=True)
class Plan:
    """What a job takes."""

    projection: Projection
    levels: Mapping[int, LevelSpeed]  # those that lack tokens, from the top
    num_rows: Mapping[int, int]  # items, or slices of them, sampled side by side at each level
    memory: int | None  # bytes at the peak
    device_memory: int | None  # bytes on a GPU
    disk: int  # bytes of the items when they are complete, as far as is wanted

    def tokens_per_second(self, level: int) -> float:
        """Of all rows that are sampled side by side."""
        return speed_of(self.levels[level], self.num_rows[level]).tokens_per_second


def plan_job(job: Job, until: str, started: float, on_stage: OnStage = lambda stage: None) -> Plan:
    """What a job takes until `until` (top, tokens, audio). Samples for a moment, writes nothing.

    started: when the command began, of `time.perf_counter`. Raises InputError as sampling does.
    """
    from jukebox_cli.sampling.compute import with_settings

    levels = job.incomplete_levels(until)
    job = with_settings(job, levels)
    decode = until == "audio" and not all(job.run.has_audio(item, 0) for item in job.items)
    size = min(job.batch_size, max((len(job.incomplete_items(n)) for n in levels), default=1))
    sliced = {rows for level in levels if (rows := rows_per_item(job, level)) > 1}
    sizes = [size, *sorted(max(rows, min(size, job.batch_size // rows) * rows) for rows in sliced)]
    measured = measure_levels(
        job, levels, sizes, PLAN_SECONDS, started=started, decode=decode, on_stage=on_stage
    )
    return Plan(
        measured.projection(),
        measured.levels,
        {level: measured.num_rows(level, size) for level in levels},
        measured.memory(size),
        measured.measurement.peak_device_memory,
        disk_bytes(job, until),
    )
