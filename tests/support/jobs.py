"""Jobs on runs of the tiny model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.run_setup import new_item
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run, RunConfig

#: 100 tokens at the top level, 200 and 400 below; the last one is partly of silence.
NUM_SAMPLES = 1590
CONFIG = RunConfig(sample_rate=8000, seed=7, hop_fraction=(0.5, 0.75, 0.3), sampling=({}, {}, {}))
SONG = {"artist": "Bo Marsh"}


def make_job(
    path: Path,
    model: Model,
    registry: Registry,
    items: Sequence[int],
    songs: Mapping[int, Mapping[str, Any]] | None = None,
    config: RunConfig = CONFIG,
    num_samples: int = NUM_SAMPLES,
    **changes: Any,
) -> Job:
    """A job on a run that is not on disk yet. Items have SONG, or their song in `songs`."""
    specs = {
        item: new_item(model, config, num_samples, (songs or {}).get(item, SONG)) for item in items
    }
    job = Job(Run(path), model, registry, tuple(items), config, specs, device="cpu")
    return replace(job, **changes)


def tokens_on_disk(job: Job) -> dict[tuple[int, int], list[int]]:
    """The tokens of a job's items by level and item."""
    found = {
        (level, item): job.run.read_tokens(level, item)
        for level in range(job.grid.num_levels)
        for item in job.items
    }
    return {key: tokens.tolist() for key, tokens in found.items() if tokens is not None}
