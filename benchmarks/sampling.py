"""How many tokens a second each level draws, alone and 16 items side by side."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import Row, by_turns

from jukebox_cli import stages
from jukebox_cli.folders import Asked, Model, Run, Tokens
from jukebox_cli.registry import Registry
from jukebox_cli.requests import Request, new_config

BATCHES = (1, 16)


def sampling(model: Model, registry: Registry, *, rounds: int, quick: bool) -> list[Row]:
    """A row for each level and batch: one whole window, by the code that `generate` runs."""
    tasks: dict[str, Callable[[], float]] = {}
    for level in reversed(range(len(model.config.priors))):
        for batch in BATCHES:
            tasks[f"sampling, level {level}, batch {batch}"] = _rate(
                model, registry, level, batch, quick
            )
    return by_turns(tasks, rounds, "tokens/s")


def _rate(
    model: Model, registry: Registry, level: int, batch: int, quick: bool
) -> Callable[[], float]:
    def rate() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return _draw(model, registry, level, batch, quick, Path(folder) / "run")

    return rate


def _draw(
    model: Model, registry: Registry, level: int, batch: int, quick: bool, folder: Path
) -> float:
    """Tokens a second from the moment that the weights are loaded."""
    hops = model.config.vqvae.hops
    window = model.config.priors[level].frames * hops[level]
    samples = hops[-1] * (2 if quick else -(-window // hops[-1]))
    config = new_config(model, registry, Request(model.name, 1.0, (0,), 0, {}))
    began: list[float] = []
    bar = stages.Bar(begin=lambda *_: began.append(time.perf_counter()))
    items = range(batch)
    asked = Asked(samples, {})
    job = stages.Job(Run(folder), model, registry, items, config, asked, batch=batch, bar=bar)
    if level < job.top:
        _fill(job, level + 1)
    stages.sample(job, level)
    return batch * job.total(level, 0) / (time.perf_counter() - began[0])


def _fill(job: stages.Job, level: int) -> None:
    """Gives every item tokens at a level, any tokens: the speed below does not depend on them."""
    codec = job.model.config.vqvae
    random = np.random.default_rng(0)
    for item in job.items:
        tokens = random.integers(codec.bins, size=job.total(level, item))
        job.run.write_tokens(level, item, Tokens(tokens, 0), codec)
