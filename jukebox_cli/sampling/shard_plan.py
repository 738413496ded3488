"""How a run is begun by several commands that share the work on its items.

They must agree on what changes the tokens: slices, engine, precision and weights. The first to come
records these in the items' files; the others find them there. A lock keeps them apart meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.sampling.compute import with_settings
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.requirements import fit_to_memory
from jukebox_cli.sampling.run_setup import require_same_run
from jukebox_cli.sampling.shard import Shard
from jukebox_cli.sampling.weights import record_prior_fingerprints
from jukebox_cli.storage.locks import exclusive_lock
from jukebox_cli.storage.segments import ItemSpec


def with_shard(job: Job, shard: Shard) -> Job:
    """The job with its share of the work: of every item if its songs are cut into slices
    (`--parallel`), else of the list of items."""
    if job.parallel not in (None, 1) or _is_shared(job):
        return replace(job, shard=shard)
    items = shard.select(job.items)
    return replace(job, items=items, specs={item: job.specs[item] for item in items})


def _is_shared(job: Job) -> bool:
    """Whether other commands share the work on an item that is not complete."""
    return any(
        part.segment.is_shared(level)
        for level in range(job.grid.num_levels)
        for item in job.incomplete_items(level)
        for part in job.missing_parts(level, item)
    )


def begin_shared(job: Job, until: str, create: Callable[[Job], None]) -> Job:
    """The job as all commands that share it do it, as far as `until` (top, tokens, audio).

    create: writes what the job's run and items lack; called by one command at a time, with the
        items as they are by then.
    Raises InputError if another command has begun the run with another request, or a level with
    other slices, settings or weights, and if there is no memory for it.
    """
    with exclusive_lock(job.run.claims_folder):
        require_same_run(job.run, job.config, job.specs)
        create(_with_specs_on_disk(job))
        job = fit_to_memory(_with_specs_on_disk(job), until)
        levels = job.incomplete_levels(until)
        job = record_prior_fingerprints(job, levels)
        planned = with_settings(job, levels)
        for item in job.items:
            _require_same_settings(job, item, planned.specs[item], levels)
        shared = {item: _shared(planned, item, levels) for item in job.items}
        return job.write_specs({**planned.specs, **shared})


def _with_specs_on_disk(job: Job) -> Job:
    there = [item for item in job.items if job.run.exists and job.run.has_item(item)]
    return replace(job, specs={**job.specs, **job.run.read_items(there)})


def _shared(job: Job, item: int, levels: Sequence[int]) -> ItemSpec:
    """An item whose incomplete segments keep the plan that is recorded in them."""
    spec = job.specs[item]
    for level in levels:
        for part in job.missing_parts(level, item):
            segment = spec.segments[part.number].with_shared_level(level)
            spec = spec.with_segment(part.number, segment)
    return spec


def _require_same_settings(job: Job, item: int, planned: ItemSpec, levels: Sequence[int]) -> None:
    """Raises InputError if other commands sample a level with another engine or precision."""
    pairs = zip(job.specs[item].segments, planned.segments, strict=True)
    for recorded, wanted in pairs:
        for level in filter(recorded.is_shared, levels):
            one, other = recorded.compute_settings(level), wanted.compute_settings(level)
            if one and other and one != other:
                raise InputError(
                    f"other commands sample item {item} of {job.run.path} at level {level} with "
                    f"{one.engine}, {one.precision}, not with {other.engine}, {other.precision}",
                    "leave out --engine and --precision, or choose another --out",
                )
