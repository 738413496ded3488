"""All levels of a run, one after another or in parallel, then its audio.

A small prior keeps one core busy and leaves the others idle. So while one level is sampled, the
levels below it are too, each in a thread or process of its own, which follows the token files of
the level above a window behind. Every level samples the tokens that it would sample alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from jukebox_cli.sampling.decode import decode_items
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.level_thread import LevelThread
from jukebox_cli.sampling.weights import (
    record_prior_fingerprints,
    warn_if_sampled_with_other_weights,
)

#: Tokens of the lowest level. With fewer, starting processes takes longer than they save.
MIN_PROCESS_TOKENS = 10_000


def complete_run(job: Job, until: str = "audio") -> None:
    """Samples and decodes what the job's items lack, as far as `until` says: the top level (top),
    all levels (tokens), or the audio of the lowest (audio)."""
    warn_if_sampled_with_other_weights(job)
    levels = job.incomplete_levels(until)
    if levels:
        _sample_levels(job, levels)
    if until == "audio":
        decode_items(job)


def _sample_levels(job: Job, levels: Sequence[int]) -> None:
    from jukebox_cli.sampling.compute import record_settings

    job = record_prior_fingerprints(job, levels)
    for level in levels:
        job.model.require_weights(f"prior-{level}")
    # before any level begins: they all write to the items' files
    job = record_settings(job, levels)
    if worker := choose_worker(job, levels):
        sample_levels_in_parallel(job, levels, worker)
    else:
        for level in levels:
            sample_level(job, level)


def choose_worker(job: Job, levels: Sequence[int]) -> type[LevelThread] | type[LevelProcess] | None:
    """What to sample incomplete levels in, all but the highest, if that is faster than one after
    another: it is for small priors, on a CPU with cores to spare."""
    from jukebox_cli.engine.loader import available_cores
    from jukebox_cli.model.devices import pick_device

    if len(levels) < 2 or available_cores() < 2 or pick_device(job.device).type != "cpu":
        return None
    if any(job.model.config.priors[level].prefix_length for level in levels):
        return None  # the tokens of an incomplete window may still change on disk
    if any(_is_large(job, level) for level in levels):
        return None
    if _all_native(job, levels):
        return LevelThread
    num_missing = sum(job.num_missing_tokens(levels[-1], item) for item in job.items)
    return LevelProcess if num_missing >= MIN_PROCESS_TOKENS else None


def _is_large(job: Job, level: int) -> bool:
    from jukebox_cli.model.loader import stored_weights

    return stored_weights(job.model.weights(f"prior-{level}")).is_large


def _all_native(job: Job, levels: Sequence[int]) -> bool:
    """Whether the native engine samples all that is incomplete."""
    settings = [
        part.segment.compute_settings(level)
        for level in levels
        for item in job.incomplete_items(level)
        for part in job.segment_windows(level, item)
        if part.end > job.num_sampled_tokens(level, item)
    ]
    return all(each is not None and each.engine == "native" for each in settings)


def sample_levels_in_parallel(
    job: Job, levels: Sequence[int], worker: type[LevelThread] | type[LevelProcess]
) -> None:
    """Samples what the job's items lack at some levels, the highest first: that one in this
    thread, the others each in a worker."""
    highest, *lower = levels
    workers = [worker(job, level) for level in lower]
    try:
        sample_level(job, highest)
        for each in workers:
            each.finish()
    finally:
        for each in workers:
            each.stop()
