"""Which weights sampled an item: recorded in its segments, and compared with the model's."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.sampling.job import Job
from jukebox_cli.storage.segments import ItemSpec


def record_prior_fingerprints(job: Job, levels: Sequence[int]) -> Job:
    """The job with the model's weights recorded in the segments that are not begun at `levels`.

    Writes the files of items that change. A segment is recorded when the item is created, so this
    changes something only if a prior was trained, or added, before the level was sampled.
    """
    specs = dict(job.specs)
    for item in job.items:
        for level in levels:
            specs[item] = _with_current_weights(job, level, item, specs[item])
    return job.write_specs(specs)


def _with_current_weights(job: Job, level: int, item: int, spec: ItemSpec) -> ItemSpec:
    fingerprint = job.model.prior_fingerprint(level)
    for part in job.segment_windows(level, item) if fingerprint else ():
        changed = spec.segments[part.number].with_prior_fingerprint(level, str(fingerprint))
        if changed is not spec.segments[part.number] and not job.is_begun(level, item, part):
            spec = spec.with_segment(part.number, changed)
    return spec


def require_same_weights(job: Job, level: int, items: Sequence[int]) -> None:
    """Raises InputError if other weights began a segment that is not complete: it would be made of
    two models."""
    for item in items:
        num_sampled = job.num_sampled_tokens(level, item)
        for part in job.segment_windows(level, item):
            begun = num_sampled < part.end and job.is_begun(level, item, part)
            if begun and _has_other_weights(job, level, part.segment.prior_fingerprints[level]):
                raise InputError(
                    f"item {item} of {job.run.path} was begun at level {level} with other weights "
                    f"of prior-{level} than '{job.model.name}' has now",
                    "make it anew in another --out, or name a model that has them: --model",
                )


def warn_if_sampled_with_other_weights(job: Job) -> None:
    """Warns of complete items whose last segment was sampled with other weights than the model
    has now."""
    for level in job.prior_levels:
        for item in job.items:
            if job.num_missing_tokens(level, item) or not job.segment_windows(level, item):
                continue
            recorded = job.specs[item].segments[-1].prior_fingerprints[level]
            if _has_other_weights(job, level, recorded):
                message = (
                    f"level {level} of {job.run.path} was sampled with other weights of "
                    f"prior-{level} and stays as it is: for a new song, choose another --out"
                )
                warnings.warn(InputWarning(message), stacklevel=2)
                break


def _has_other_weights(job: Job, level: int, recorded: str | None) -> bool:
    """Whether both fingerprints are known and differ."""
    current = job.model.prior_fingerprint(level)
    return current is not None and recorded is not None and recorded != current
