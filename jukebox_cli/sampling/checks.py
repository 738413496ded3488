"""Checks that a job can be done, before torch is loaded and before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.model.condition_inputs import (
    ConditionArrays,
    encode_window,
    load_conditioners,
    prior_shape,
    require_same_arrays,
    require_used_conditions,
)
from jukebox_cli.sampling.conditioning import audio_window
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.windows import TokenWindow
from jukebox_cli.storage.segments import Segment


def validate_job(job: Job, until: str = "audio") -> None:
    """Encodes the conditions of some windows of each song, and looks for the weights that are
    needed to get as far as `until` (top, tokens, audio).

    Raises InputError for conditions that the model does not take, for a run whose samplers are not
    installed, for missing weights, and for a device or precision that is not there.
    """
    _validate_conditions(job)
    _require_weights(job, until)
    _validate_samplers(job, until)
    _require_compute_settings(job, until)


def _require_compute_settings(job: Job, until: str) -> None:
    """Raises InputError for a device, engine or precision that is not there, or for other slices
    than a level was begun with. `begin_shared` does where other commands begin levels meanwhile."""
    if job.is_begun_with_others:
        return
    is_begun = any(segment.compute for spec in job.specs.values() for segment in spec.segments)
    is_default = job.device in ("auto", "cpu") and job.engine == job.precision == "auto"
    if is_begun or not is_default or job.parallel:
        from jukebox_cli.sampling.compute import with_settings

        with_settings(job, job.incomplete_levels(until))


def _validate_conditions(job: Job) -> None:
    conditioners = [load_conditioners(job.model, level, job.registry) for level in job.prior_levels]
    for segment in _different_segments(job):
        require_used_conditions(job.model, job.registry, conditioners, segment.conditions)
    for level in job.prior_levels:
        first: ConditionArrays | None = None
        for arrays in _encoded_windows(job, level, conditioners[level]):
            first = first or arrays
            require_same_arrays(conditioners[level], first, arrays)


def _validate_samplers(job: Job, until: str) -> None:
    for level in job.incomplete_levels(until):
        seen = set()
        for item in job.incomplete_items(level):
            for part in job.missing_parts(level, item):
                options = repr(part.segment.sampling[level])
                if options not in seen:
                    job.make_samplers(level, part.segment)
                seen.add(options)


def _encoded_windows(
    job: Job, level: int, conditioners: Mapping[str, Conditioner]
) -> Iterator[ConditionArrays]:
    """The conditions of some windows that are sampled at a level: of each segment that differs from
    the others in its conditions or its place, the first ones, the last one, and one between."""
    shape = prior_shape(job.model.config, level)
    seen = set()
    for item in job.items:
        for part in job.segment_windows(level, item):
            windows = _some_windows(part.windows)
            # items of one request share the conditions, which may be large
            key = (id(part.segment.conditions), part.num_samples, *windows)
            if key not in seen:
                for window in windows:
                    audio = audio_window(shape, window, part.num_samples)
                    yield encode_window(conditioners, [part.segment.conditions], audio, shape)
            seen.add(key)


def _different_segments(job: Job) -> Iterable[Segment]:
    """The segments of the job's items, one of those that share their conditions."""
    segments = (segment for item in job.items for segment in job.specs[item].segments)
    return {id(segment.conditions): segment for segment in segments}.values()


def _some_windows(windows: Sequence[TokenWindow]) -> list[TokenWindow]:
    """The first two windows, the middle one and the last one."""
    count = len(windows)
    return [windows[n] for n in sorted({0, 1, count // 2, count - 1}) if 0 <= n < count]


def _require_weights(job: Job, until: str) -> None:
    """Raises InputError if weights are missing that are needed to get as far as `until`."""
    for level in job.incomplete_levels(until):
        job.model.require_weights(f"prior-{level}")
    if until == "audio":
        for level in range(job.grid.num_levels):
            job.model.require_weights(f"vqvae-{level}")
