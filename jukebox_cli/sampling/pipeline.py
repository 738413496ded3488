"""All levels of a run, one after another or in parallel, then its audio.

A small prior keeps one core busy and leaves the others idle. So while one level is sampled, the
levels below it are too, each in a thread or process of its own, which follows the level above:
threads through memory, a few positions behind what a window needs, processes through the token
files. Every level samples the tokens that it would sample alone.

A stream is the same with one more stage: the audio is decoded as the lowest level is sampled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from jukebox_cli.sampling.decode import Play, decode_items, decode_live, play_audio_file
from jukebox_cli.sampling.item_turns import item_turns
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.level_thread import LevelThread
from jukebox_cli.sampling.live_tokens import LiveTokens, SamplingStopped
from jukebox_cli.sampling.slices import delete_leftover_slices
from jukebox_cli.sampling.weights import (
    record_prior_fingerprints,
    warn_if_sampled_with_other_weights,
)

#: Tokens of the lowest level. With fewer, starting processes takes longer than they save.
MIN_PROCESS_TOKENS = 10_000


def complete_run(job: Job, until: str = "audio") -> None:
    """Samples and decodes what the job's items lack, as far as `until` says: the top level (top),
    all levels (tokens), or the audio of the lowest (audio).

    Several processes may do so at once: each item is made by one of them.
    """
    warn_if_sampled_with_other_weights(job)
    items = [item for item in job.items if not job.is_complete(item, until)]
    for turn in item_turns(replace(job, items=items)):
        _complete_items(turn, until)
    delete_leftover_slices(job)


def _complete_items(job: Job, until: str) -> None:
    levels = job.incomplete_levels(until)
    if levels:
        _sample_levels(_begin_levels(job, levels), levels)
    if until == "audio":
        decode_items(job)


def stream_run(job: Job, play: Play) -> None:
    """As `complete_run`, of a job of one item, whose audio it passes to `play` as it is made.

    The audio begins where the item does, also where a part of it, or all, is there already.
    """
    for turn in item_turns(job):
        _stream_item(turn, play)


def _stream_item(job: Job, play: Play) -> None:
    warn_if_sampled_with_other_weights(job)
    (item,) = job.items
    levels = job.incomplete_levels()
    if not levels and job.run.has_audio(item, 0):
        play_audio_file(job.run.audio_file(item), play)
        return
    job = _begin_levels(job, levels)
    num_in_turn = _num_in_turn(job, levels)
    for level in levels[:num_in_turn]:
        sample_level(job, level)
    job = replace(job, live_tokens=LiveTokens(job.run))
    with _workers(job, levels[num_in_turn:], LevelThread) as threads:
        decode_live(job, play, lambda: _finish_all(threads))


def _num_in_turn(job: Job, levels: Sequence[int]) -> int:
    """How many of the levels of a stream are sampled one after another before the others."""
    if can_be_parallel(job, levels):
        return 0
    lowest_changes = any(job.model.config.priors[level].prefix_length for level in levels[-1:])
    return len(levels) if lowest_changes else len(levels) - 1


def _begin_levels(job: Job, levels: Sequence[int]) -> Job:
    """The job with weights and compute settings recorded for its incomplete levels."""
    from jukebox_cli.sampling.compute import record_settings

    job = record_prior_fingerprints(job, levels)
    for level in levels:
        job.model.require_weights(f"prior-{level}")
    # before any level begins: they all write to the items' files
    return record_settings(job, levels)


def _sample_levels(job: Job, levels: Sequence[int]) -> None:
    if worker := choose_worker(job, levels):
        sample_levels_in_parallel(job, levels, worker)
    else:
        for level in levels:
            sample_level(job, level)


def choose_worker(job: Job, levels: Sequence[int]) -> type[LevelThread] | type[LevelProcess] | None:
    """What to sample incomplete levels in, all but the highest, if that is faster than one after
    another: it is for small priors, on a CPU with cores to spare."""
    from jukebox_cli.engine.loader import available_cores

    if len(levels) < 2 or available_cores() < 2 or not can_be_parallel(job, levels):
        return None
    if _all_native(job, levels):
        return LevelThread
    num_missing = sum(job.num_missing_tokens(levels[-1], item) for item in job.items)
    return LevelProcess if num_missing >= MIN_PROCESS_TOKENS else None


def can_be_parallel(job: Job, levels: Sequence[int]) -> bool:
    """Whether levels can be sampled at the same time: those of small priors on a CPU."""
    from jukebox_cli.model.devices import pick_device

    if pick_device(job.device).type != "cpu":
        return False
    if any(job.model.config.priors[level].prefix_length for level in levels):
        return False  # the tokens of an incomplete window may still change
    return not any(_is_large(job, level) for level in levels)


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
    from jukebox_cli.engine.loader import available_cores

    highest, *lower = levels
    if worker is LevelThread:
        item_threads = max(1, available_cores() // len(levels))
        job = replace(job, live_tokens=LiveTokens(job.run), item_threads=item_threads)
    with _workers(job, lower, worker) as workers:
        sample_level(job, highest)
        _finish_all(workers)


@contextmanager
def _workers(
    job: Job, levels: Sequence[int], worker: type[LevelThread] | type[LevelProcess]
) -> Iterator[Sequence[LevelThread | LevelProcess]]:
    """A worker for each level, which is stopped at the end of the block."""
    workers: list[LevelThread | LevelProcess] = []
    try:
        for level in levels:
            workers.append(worker(job, level))
        yield workers
    except SamplingStopped:
        for each in workers:
            each.stop()
        _finish_all(workers)  # raises what went wrong in one of them
        raise
    finally:
        for each in workers:
            each.stop()


def _finish_all(workers: Iterable[LevelThread | LevelProcess]) -> None:
    for each in workers:
        each.finish()
