"""What the command and the processes that sample a level beside it send each other, pickled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job, StartProgress
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec


@dataclass(frozen=True)
class LevelTask:
    """To a worker: the level to sample, and of a job what another process can be given. The worker
    finds the plugins anew."""

    level: int
    run: Run
    model: Model
    items: tuple[int, ...]
    config: RunConfig
    specs: Mapping[int, ItemSpec]
    device: str
    engine: str
    precision: str
    batch_size: int

    @classmethod
    def from_job(cls, job: Job, level: int) -> LevelTask:
        return cls(
            level,
            job.run,
            job.model,
            tuple(job.items),
            job.config,
            job.specs,
            job.device,
            job.engine,
            job.precision,
            job.batch_size,
        )

    def to_job(
        self, registry: Registry, progress: StartProgress, wait_for_upper: Callable[[], None]
    ) -> Job:
        """The job as the worker does it."""
        return Job(
            self.run,
            self.model,
            registry,
            self.items,
            self.config,
            self.specs,
            self.device,
            self.engine,
            self.precision,
            self.batch_size,
            progress=progress,
            wait_for_upper=wait_for_upper,
        )


@dataclass(frozen=True)
class ProgressStarted:
    """From a worker: a progress bar is wanted."""

    description: str
    done: int
    total: int


@dataclass(frozen=True)
class ProgressAdvanced:
    """From a worker: so many more tokens are sampled."""

    count: int


@dataclass(frozen=True)
class LevelFailed:
    """From a worker: what went wrong."""

    error: Exception
