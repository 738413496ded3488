"""Sampling what the items of a run lack at one level."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.rows import Row, make_row, sample_rows
from jukebox_cli.sampling.slices import sample_slices, sliced_items
from jukebox_cli.sampling.stages import level_stage
from jukebox_cli.sampling.weights import require_same_weights
from jukebox_cli.sampling.windows import SegmentWindows

if TYPE_CHECKING:
    from jukebox_cli.engine.loader import LoadedPrior
    from jukebox_cli.sampling.sampler import LevelSampler
    from jukebox_cli.storage.segments import ComputeSettings

#: Loads the prior of a level for some compute settings.
LoadPrior = Callable[["ComputeSettings"], "LoadedPrior"]


def sample_level(job: Job, level: int) -> None:
    """Samples what the job's items lack at a level, and writes it to the run now and then.

    Raises InputError if the level above is incomplete, and for tokens of a recording that are gone
    or weights that changed.
    """
    items = job.incomplete_items(level)
    if not items:
        return
    _require_upper_level(job, level, items)
    job.run.require_recorded_tokens(level, [i for i in items if job.specs[i].prompt])
    require_same_weights(job, level, items)
    from jukebox_cli.sampling.compute import record_settings

    job = record_settings(job, [level])
    load = prior_loader(job, level)
    load(_settings(job.missing_parts(level, items[0])[0], level))  # fails before progress is shown
    num_missing = sum(job.num_missing_tokens(level, item) for item in items)
    advance = _start_progress(job, level, items)
    job.log_event("level", level=level, items=items)
    started = time.monotonic()
    for batch in _batches(job, level, items):
        _sample_batch(job, level, load, batch, advance)
    seconds = round(time.monotonic() - started, 2)
    job.log_event("sampled", level=level, tokens=num_missing, seconds=seconds)


def prior_loader(job: Job, level: int) -> LoadPrior:
    """Loads the prior of a level for some compute settings, and keeps the last one."""
    from jukebox_cli.engine.loader import available_cores, load_engine
    from jukebox_cli.model.devices import pick_device

    place = (job.model, level, job.registry, pick_device(job.device))
    item_threads = job.item_threads or available_cores()
    return lru_cache(maxsize=1)(partial(load_engine, *place, item_threads=item_threads))


def _settings(part: SegmentWindows, level: int) -> ComputeSettings:
    settings = part.segment.compute_settings(level)
    assert settings, "recorded before a level is sampled"
    return settings


def _start_progress(job: Job, level: int, items: Sequence[int]) -> Advance:
    """A progress bar of all tokens that are sampled, those of slices that are not kept included."""
    done = sum(min(job.num_tokens(level, i), job.num_sampled_tokens(level, i)) for i in items)
    total = sum(job.num_tokens(level, item) for item in items)
    for item in items:
        for part in job.missing_parts(level, item):
            for sliced in sliced_items(job, level, {item: part}):
                done += sliced.num_drawn()
                total += sliced.num_extra_draws()
    return job.progress(level_stage(level), done, total)


def _require_upper_level(job: Job, level: int, items: Sequence[int]) -> None:
    """Raises InputError if the level above is incomplete and nobody samples it meanwhile."""
    if level == job.top_level or job.wait_for_upper or job.live_tokens:
        return
    for item in items:
        if job.num_missing_tokens(level + 1, item):
            raise InputError(
                f"item {item} of {job.run.path} is incomplete at level {level + 1}",
                "finish that level first, with the command that began it",
            )


def batch_key(job: Job, level: int, item: int) -> str:
    """What items have in common that can be sampled together: their length, windows, slices,
    options and compute settings. Their seeds and conditions may differ."""
    parts = job.missing_parts(level, item)
    settings = [part.segment.compute_settings(level) for part in parts]
    options = [sorted(part.segment.sampling[level].items()) for part in parts]
    windows = [part.windows for part in parts]
    slices = [part.segment.slice_plan(level) for part in parts]
    return repr((settings, job.num_tokens(level, item), windows, options, slices))


def _batches(job: Job, level: int, items: Sequence[int]) -> list[list[int]]:
    """Items that can be sampled together. Each slice is a row."""
    alike: dict[tuple[int, str], list[int]] = {}
    for item in items:
        parts = job.missing_parts(level, item)
        plans = [part.segment.slice_plan(level) for part in parts]
        num_rows = max(plan.count if plan else 1 for plan in plans)
        alike.setdefault((num_rows, batch_key(job, level, item)), []).append(item)
    batches = []
    for (num_rows, _), group in alike.items():
        size = max(1, job.batch_size // num_rows)
        batches += [group[i : i + size] for i in range(0, len(group), size)]
    return batches


def _sample_batch(
    job: Job, level: int, load: LoadPrior, items: Sequence[int], advance: Advance
) -> None:
    """Samples items that have the same windows, segment after segment."""
    parts = [job.missing_parts(level, item) for item in items]
    for segment in zip(*parts, strict=True):  # what each item has of one segment
        with level_sampler(job, level, load, segment[0]) as sampler:
            sample_segment(job, level, sampler, dict(zip(items, segment, strict=True)), advance)


@contextmanager
def level_sampler(
    job: Job, level: int, load: LoadPrior, part: SegmentWindows
) -> Iterator[LevelSampler]:
    """What samples a segment at a level, on as many threads as suit it within the block."""
    from jukebox_cli.engine.loader import torch_threads
    from jukebox_cli.sampling.sampler import LevelSampler

    loaded = load(_settings(part, level))
    with torch_threads(loaded.num_threads):
        samplers = job.make_samplers(level, part.segment)
        yield LevelSampler(level, loaded.prior, samplers, loaded.engine)


def sample_segment(
    job: Job,
    level: int,
    sampler: LevelSampler,
    parts: Mapping[int, SegmentWindows],
    advance: Advance,
) -> None:
    """Samples what items that can be sampled together lack of one segment, `parts` by item."""
    if sliced := sliced_items(job, level, parts):
        sample_slices(job, sampler, sliced, advance)
    else:
        rows = [_item_row(job, level, item, part) for item, part in parts.items()]
        sample_rows(job, sampler, rows, next(iter(parts.values())).windows, advance)


def _item_row(job: Job, level: int, item: int, part: SegmentWindows) -> Row:
    """An item's tokens as far as they are on disk, with room for the rest."""

    def write(tokens: np.ndarray, vocab_size: int | None) -> None:
        codec = job.model.config.vqvae
        job.run.save_sampled_tokens(level, item, tokens, codec, vocab_size)

    known, length = job.run.read_tokens(level, item), job.num_tokens(level, item)
    publish = partial(job.live_tokens.publish, level, item) if job.live_tokens else None
    return make_row(part, item, known, length, write, publish=publish)
