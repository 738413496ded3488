"""With which engine and precision each segment is sampled: chosen when a level of it is begun,
recorded in the item's file, and kept until the level is complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from jukebox_cli.engine import library
from jukebox_cli.engine.choice import choose_settings
from jukebox_cli.model.devices import pick_device
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.slice_plans import with_slice_plans
from jukebox_cli.sampling.windows import SegmentWindows
from jukebox_cli.storage.segments import ComputeSettings, ItemSpec


def with_compute_settings(job: Job, levels: Sequence[int]) -> Job:
    """The job with settings for every segment that is incomplete at `levels`. Writes nothing.

    Where the job says `auto`, a segment that is begun keeps what it was begun with. Raises
    InputError for settings that are not possible on this machine.
    """
    device = pick_device(job.device)

    @cache
    def choose(level: int, engine: str, precision: str) -> ComputeSettings:
        weights = job.model.weights(f"prior-{level}")
        return choose_settings(weights, device, engine, precision)

    specs, changed = dict(job.specs), {}
    for level in levels:
        for item in job.items:
            spec = specs[item]
            settings = {
                part.number: choose(level, *_wanted(job, level, item, part))
                for part in job.segment_windows(level, item)
                if part.end > job.num_sampled_tokens(level, item)
            }
            # items of one request share their specs, whose conditions may be large
            key = (id(spec), level, *settings.items())
            if key not in changed:
                changed[key] = _with_settings(spec, level, settings)
            specs[item] = changed[key]
    return replace(job, specs=specs)


def _with_settings(spec: ItemSpec, level: int, settings: Mapping[int, ComputeSettings]) -> ItemSpec:
    """An item with the settings of some segments, by their numbers, at a level."""
    for number, each in settings.items():
        segment = spec.segments[number].with_compute_settings(level, each)
        spec = spec.with_segment(number, segment)
    return spec


def with_settings(job: Job, levels: Sequence[int]) -> Job:
    """The job with compute settings and slices for every segment that is incomplete at `levels`.
    Writes nothing. Raises InputError for what is not possible."""
    return with_slice_plans(with_compute_settings(job, levels), levels)


def record_settings(job: Job, levels: Sequence[int]) -> Job:
    """As `with_settings`, and writes the files of the items that change."""
    return job.write_specs(with_settings(job, levels).specs)


def missing_engine_reason(job: Job, until: str) -> str | None:
    """Why torch samples what the job lacks, where the native engine would if it were installed."""
    if job.engine != "auto" or not job.incomplete_levels(until):
        return None
    return library.missing_reason() if pick_device(job.device).type == "cpu" else None


def _wanted(job: Job, level: int, item: int, part: SegmentWindows) -> tuple[str, str]:
    """The engine and precision to ask for: those of the job, or what the segment was begun with."""
    recorded = part.segment.compute_settings(level)
    if recorded is None or job.engine not in ("auto", recorded.engine):
        return job.engine, job.precision
    if not job.is_begun(level, item, part):  # last, because it looks for files
        return job.engine, job.precision
    return recorded.engine, recorded.precision if job.precision == "auto" else job.precision
