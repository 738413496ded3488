"""Sampling speed of each level, for one item and for 16 items side by side."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from measurements import Row, measure_in_turns

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import new_config, new_item
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run

BATCH_SIZES = (1, 16)


def sampling_speed(model: Model, registry: Registry, *, rounds: int, quick: bool) -> list[Row]:
    """Tokens per second of each level and batch size, over one whole window."""
    tasks: dict[str, Callable[[], float]] = {}
    for level in reversed(range(len(model.config.priors))):
        num_tokens = 2 if quick else model.config.priors[level].context_length
        for batch_size in BATCH_SIZES:
            name = f"sampling, level {level}, batch {batch_size}"
            tasks[name] = partial(tokens_per_second, model, registry, level, batch_size, num_tokens)
    return measure_in_turns(tasks, rounds, "tokens/s")


def tokens_per_second(
    model: Model,
    registry: Registry,
    level: int,
    batch_size: int,
    num_tokens: int,
    precision: str = "auto",
    skip_first: bool = False,
) -> float:
    """Tokens per second of all items together, by the code that `generate` runs.

    Each item gets at least `num_tokens`. Loading the weights does not count; with `skip_first`,
    neither do the first tokens and what a window computes before them.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, reports = _job(model, registry, batch_size, Path(folder) / "run", level, num_tokens)
        sample_level(replace(job, precision=precision), level)
    first, *later = reports[1:] if skip_first else reports
    return sum(count for _, count in later) / (later[-1][0] - first[0])


def _job(
    model: Model, registry: Registry, batch_size: int, folder: Path, level: int, num_tokens: int
) -> tuple[Job, list[tuple[float, int]]]:
    """A job without tokens at a level, and a list that gets the time and number of new tokens."""
    grid = model.config.vqvae.token_grid
    num_samples = grid.ceil_samples(grid.num_samples(level, num_tokens))
    config = new_config(model, registry, Request(model.name, 1.0, (0,), 0, {}))
    reports: list[tuple[float, int]] = []

    def start_progress(*_: object) -> Advance:
        reports.append((time.perf_counter(), 0))
        return lambda count: reports.append((time.perf_counter(), count))

    specs = dict.fromkeys(range(batch_size), new_item(model, config, num_samples, {}))
    job = Job(Run(folder), model, registry, range(batch_size), config, specs)
    job = replace(job, batch_size=batch_size, progress=start_progress)
    if level < job.top_level:
        _write_random_tokens(job, level + 1)
    return job, reports


def _write_random_tokens(job: Job, level: int) -> None:
    """Give every item random tokens at a level; the speed below it does not depend on them."""
    codec = job.model.config.vqvae
    rng = np.random.default_rng(0)
    for item in job.items:
        tokens = rng.integers(codec.codebook_size, size=job.num_tokens(level, item))
        job.run.write_tokens(level, item, tokens, codec)
