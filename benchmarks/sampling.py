"""How many tokens a second each level draws, alone and 16 items side by side."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from measure import Row, by_turns

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import new_config, new_item
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run

BATCHES = (1, 16)


def sampling(model: Model, registry: Registry, *, rounds: int, quick: bool) -> list[Row]:
    """A row for each level and batch: one whole window, by the code that `generate` runs."""
    tasks: dict[str, Callable[[], float]] = {}
    for level in reversed(range(len(model.config.priors))):
        tokens = 2 if quick else model.config.priors[level].context_length
        for batch in BATCHES:
            what = f"sampling, level {level}, batch {batch}"
            tasks[what] = partial(rate, model, registry, level, batch, tokens)
    return by_turns(tasks, rounds, "tokens/s")


def rate(
    model: Model,
    registry: Registry,
    level: int,
    batch: int,
    tokens: int,
    precision: str = "auto",
    later: bool = False,
) -> float:
    """Tokens a second of all items together, at least so many each, once the weights are loaded.

    later: but for the first tokens, and what a window needs before them.
    """
    with tempfile.TemporaryDirectory() as folder:
        job, told = _job(model, registry, batch, Path(folder) / "run", level, tokens)
        sample_level(replace(job, precision=precision), level)
    first, *more = told[1:] if later else told
    return sum(count for _, count in more) / (more[-1][0] - first[0])


def _job(
    model: Model, registry: Registry, batch: int, folder: Path, level: int, tokens: int
) -> tuple[Job, list[tuple[float, int]]]:
    """A job that lacks the tokens of a level, and a list of when it will tell of how many."""
    grid = model.config.vqvae.token_grid
    samples = grid.ceil_samples(grid.num_samples(level, tokens))
    config = new_config(model, registry, Request(model.name, 1.0, (0,), 0, {}))
    told: list[tuple[float, int]] = []

    def bar(*_: object) -> Advance:
        told.append((time.perf_counter(), 0))
        return lambda count: told.append((time.perf_counter(), count))

    run, items, spec = Run(folder), range(batch), new_item(model, config, samples, {})
    specs = dict.fromkeys(items, spec)
    job = Job(run, model, registry, items, config, specs, batch_size=batch, progress=bar)
    if level < job.top_level:
        _fill(job, level + 1)
    return job, told


def _fill(job: Job, level: int) -> None:
    """Gives every item tokens at a level, any tokens: the speed below does not depend on them."""
    codec = job.model.config.vqvae
    random = np.random.default_rng(0)
    for item in job.items:
        tokens = random.integers(codec.codebook_size, size=job.num_tokens(level, item))
        job.run.write_tokens(level, item, tokens, codec)
