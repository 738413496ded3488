"""How fast a model is on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.plan import MeasuredJob, OnStage, measure_levels

if TYPE_CHECKING:
    from jukebox_cli.sampling.measure import BatchSpeed, LevelSpeed

#: Seconds that a level is sampled for with each batch size.
BENCH_SECONDS = 1.0


@dataclass(frozen=True)
class Bench:
    """What was measured of a model, with a job of one item to project its time."""

    measured: MeasuredJob
    batch_sizes: Sequence[int]
    device: str
    kernels: str | None  # of the native engine
    cores: int  # that this process may use
    cache_bytes: int
    read_bandwidths: dict[int, float]  # bytes per second, by number of threads

    def speed(self, level: LevelSpeed, batch: int) -> BatchSpeed | None:
        """The speed with a batch; None if there was no memory for it."""
        return next((each for each in level.speeds if each.batch == batch), None)

    def read_share(self, level: LevelSpeed) -> float | None:
        """How much of the bandwidth a single item uses: bytes of weights that are read for each
        position; None where the weights fit into the cache, which is read faster than memory."""
        if level.weight_bytes <= self.cache_bytes:
            return None
        bandwidth = self.read_bandwidths[level.num_threads]
        return level.weight_bytes / level.speeds[0].position / bandwidth


def bench_job(
    job: Job, batch: int, started: float, on_stage: OnStage = lambda stage: None
) -> Bench:
    """Measures the levels that the job's model has priors for, one item at a time and `batch`.

    started: when the command began, of `time.perf_counter`. Raises InputError if there are none.
    """
    levels = [level for level in reversed(job.prior_levels) if job.model.has_prior(level)]
    if not levels:
        job.model.require_weights(f"prior-{job.top_level}")
    sizes = sorted({1, batch})
    measured = measure_levels(
        job,
        levels,
        sizes,
        BENCH_SECONDS,
        started=started,
        decode=0 in levels and _has_codec(job),
        on_stage=on_stage,
    )
    on_stage("memory")
    return _with_machine(measured, sizes)


def _with_machine(measured: MeasuredJob, batch_sizes: Sequence[int]) -> Bench:
    """What was measured, with facts about the machine."""
    from jukebox_cli.engine import library, machine
    from jukebox_cli.engine.loader import available_cores
    from jukebox_cli.model.devices import pick_device

    device = pick_device(measured.job.device)
    threads = sorted({each.num_threads for each in measured.measurement.levels})
    return Bench(
        measured,
        batch_sizes,
        device.type,
        library.chosen_kernels(),
        available_cores(),
        machine.cache_bytes(device),
        {count: machine.read_bandwidth(device, count) for count in threads},
    )


def _has_codec(job: Job) -> bool:
    return all(job.model.weights(f"vqvae-{n}").is_file() for n in range(job.grid.num_levels))
