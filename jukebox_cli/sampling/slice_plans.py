"""In how many slices each segment is sampled at each level (`--parallel`): chosen when a level of
it is begun, recorded in the item's file, and kept until the level is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.slice_layout import plan_slices
from jukebox_cli.sampling.windows import SegmentWindows
from jukebox_cli.storage.segments import SlicePlan

#: Slices of `auto`, where rows of a batch are nearly free. On a GPU: its kernels read the weights
#: once for all rows, and 32 rows hardly take longer than one.
GPU_SLICES = 32
#: A large prior on a CPU waits for its weights; the native engine reads them once for 16 rows.
LARGE_CPU_SLICES = 16
#: A small prior has its weights in the cache, and levels in threads use the cores as well.
SMALL_CPU_SLICES = 1


def parse_parallel(text: str | None) -> int | Literal["auto"] | None:
    """The value of `--parallel`: a number of slices, `auto`, or None.

    Raises InputError for anything else.
    """
    if text is None:
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal() or int(text) < 1:
        message = f"--parallel must be 1 or more, or auto, not '{text}'"
        raise InputError(message, "try --parallel auto")
    return int(text)


def with_slice_plans(job: Job, levels: Sequence[int]) -> Job:
    """The job with slices for every segment that is incomplete at `levels`, below the top. Writes
    nothing.

    Call it after compute settings are chosen. Raises InputError for a segment that was begun with
    another number of slices than the job says.
    """
    specs = dict(job.specs)
    for level in levels:
        for item in job.items if level < job.top_level else ():
            spec = specs[item]
            for part in job.segment_windows(level, item):
                if part.end > job.num_sampled_tokens(level, item):
                    plan = _choose(job, level, item, part)
                    segment = spec.segments[part.number].with_slice_plan(level, plan)
                    spec = spec.with_segment(part.number, segment)
            specs[item] = spec
    return replace(job, specs=specs)


def _choose(job: Job, level: int, item: int, part: SegmentWindows) -> SlicePlan | None:
    recorded = part.segment.slice_plan(level)
    if job.parallel is None:
        return recorded
    is_begun = job.is_begun(level, item, part)
    if job.parallel == "auto" and is_begun:
        return recorded
    count = _auto_count(job, level, part) if job.parallel == "auto" else job.parallel
    context_length = job.model.config.priors[level].context_length
    ratio = job.grid.ratio(level)
    plan = plan_slices(count, part.first, part.total, context_length, ratio)
    if not is_begun:
        return plan
    if _count(plan) != _count(recorded):
        begun, wanted = _describe(_count(recorded)), _describe(_count(plan))
        raise InputError(
            f"item {item} of {job.run.path} was begun at level {level} {begun}, not {wanted}",
            "leave out --parallel to finish it, or choose another --out",
        )
    return recorded


def _auto_count(job: Job, level: int, part: SegmentWindows) -> int:
    """As many slices as pay."""
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import stored_weights

    if pick_device(job.device).type != "cpu":
        return GPU_SLICES
    settings = part.segment.compute_settings(level)
    is_native = settings is not None and settings.engine == "native"
    if is_native and stored_weights(job.model.weights(f"prior-{level}")).is_large:
        return LARGE_CPU_SLICES
    return SMALL_CPU_SLICES


def _count(plan: SlicePlan | None) -> int:
    return plan.count if plan else 1


def _describe(count: int) -> str:
    return f"in {count} slices" if count > 1 else "in one slice"


def rows_per_item(job: Job, level: int) -> int:
    """Rows of a batch that an item takes while a level is sampled: its slices, or 1."""
    segments = (s for item in job.incomplete_items(level) for s in job.specs[item].segments)
    return max((_count(segment.slice_plan(level)) for segment in segments), default=1)
