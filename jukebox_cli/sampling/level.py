"""Sampling what the items of a run lack at one level."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.stages import level_stage
from jukebox_cli.sampling.weights import require_same_weights
from jukebox_cli.sampling.windows import SegmentWindows
from jukebox_cli.storage.token_files import MAX_VOCAB_SIZE

if TYPE_CHECKING:
    from jukebox_cli.engine.loader import LoadedPrior
    from jukebox_cli.model.prior import Prior
    from jukebox_cli.sampling.sampler import LevelSampler, PartialTokens
    from jukebox_cli.storage.segments import ComputeSettings

    LoadPrior = Callable[[ComputeSettings], LoadedPrior]


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
    from jukebox_cli.engine.loader import load_engine
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.sampling.compute import record_compute_settings

    job = record_compute_settings(job, [level])
    num_missing = sum(job.num_missing_tokens(level, item) for item in items)
    total = sum(job.num_tokens(level, item) for item in items)
    advance = job.progress(level_stage(level), total - num_missing, total)
    job.log_event("level", level=level, items=items)
    started = time.monotonic()
    load = lru_cache(maxsize=1)(
        partial(load_engine, job.model, level, job.registry, pick_device(job.device))
    )
    for batch in _batches(job, level, items):
        _sample_batch(job, level, load, batch, advance)
    seconds = round(time.monotonic() - started, 2)
    job.log_event("sampled", level=level, tokens=num_missing, seconds=seconds)


def _require_upper_level(job: Job, level: int, items: Sequence[int]) -> None:
    """Raises InputError if the level above is incomplete and no other process samples it."""
    if level == job.top_level or job.wait_for_upper:
        return
    for item in items:
        if job.num_missing_tokens(level + 1, item):
            raise InputError(
                f"item {item} of {job.run.path} is incomplete at level {level + 1}",
                "finish that level first, with the command that began it",
            )


def _batches(job: Job, level: int, items: Sequence[int]) -> list[list[int]]:
    """Items that can be sampled together: of one length, with the same windows, options and compute
    settings. Their seeds and conditions may differ."""
    alike: dict[object, list[int]] = {}
    for item in items:
        parts = job.missing_parts(level, item)
        settings = [part.segment.compute_settings(level) for part in parts]
        options = [sorted(part.segment.sampling[level].items()) for part in parts]
        windows = [part.windows for part in parts]
        key = repr((settings, job.num_tokens(level, item), windows, options))
        alike.setdefault(key, []).append(item)
    size = job.batch_size
    return [group[i : i + size] for group in alike.values() for i in range(0, len(group), size)]


def _sample_batch(
    job: Job, level: int, load: LoadPrior, items: Sequence[int], advance: Advance
) -> None:
    """Samples items that have the same windows, segment after segment."""
    from jukebox_cli.engine.loader import torch_threads

    parts = [job.missing_parts(level, item) for item in items]
    for segment in zip(*parts, strict=True):  # what each item has of one segment
        settings = segment[0].segment.compute_settings(level)
        assert settings, "recorded before a level is sampled"
        loaded = load(settings)
        with torch_threads(loaded.num_threads):
            _sample_segment(job, level, loaded, dict(zip(items, segment, strict=True)), advance)


def _sample_segment(
    job: Job, level: int, loaded: LoadedPrior, parts: dict[int, SegmentWindows], advance: Advance
) -> None:
    from jukebox_cli.sampling.sampler import LevelSampler, ProgressCallbacks, sample_windows

    first, prior = next(iter(parts.values())), loaded.prior
    samplers = job.make_samplers(level, first.segment)
    sampler = LevelSampler(level, prior, samplers, loaded.engine)
    batch = [_partial_tokens(job, level, item, part.segment.seed) for item, part in parts.items()]

    def save() -> None:
        for each in batch:
            _save(job, level, prior, each)

    try:
        conditioner = SongConditioner(job, level, prior, _conditioned_items(parts, sampler))
        callbacks = ProgressCallbacks(advance, save)
        sample_windows(sampler, batch, first.windows, conditioner, callbacks)
    finally:
        save()


def _partial_tokens(job: Job, level: int, item: int, seed: int) -> PartialTokens:
    """An item's tokens as far as they are on disk, with room for the rest."""
    from jukebox_cli.sampling.sampler import PartialTokens

    known = job.run.read_tokens(level, item)
    known = np.zeros(0, np.int64) if known is None else known
    tokens = np.zeros(job.num_tokens(level, item), np.int64)
    tokens[: len(known)] = known
    return PartialTokens(item, seed, tokens, len(known))


def _conditioned_items(
    parts: dict[int, SegmentWindows], sampler: LevelSampler
) -> list[ConditionedItem]:
    """The items with their conditions; with guidance once more, without any."""
    items = [
        ConditionedItem(item, part.segment.conditions, part.num_samples)
        for item, part in parts.items()
    ]
    unconditional = [each._replace(song={}) for each in items] if sampler.guidance_samplers else []
    return [*items, *unconditional]


def _save(job: Job, level: int, prior: Prior, partial: PartialTokens) -> None:
    """Writes the tokens of an item that are known so far."""
    incomplete = partial.num_done < len(partial.tokens)
    # an incomplete window may hold characters of the prefix, which are numbered after the codes
    vocab_size = MAX_VOCAB_SIZE if prior.config.prefix_length and incomplete else None
    tokens = partial.tokens[: partial.num_done]
    job.run.write_tokens(level, partial.item, tokens, job.model.config.vqvae, vocab_size)
