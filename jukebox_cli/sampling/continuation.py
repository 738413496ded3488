"""Going on: from a run that is whole, or from a recording (primed sampling; paper, 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_cli.audio.manifest import read_conditions
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import load_conditioners, require_used_conditions
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import new_config, require_same_run
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import ItemSpecs, Run, Tokens


def plan_extension(
    job: Job,
    seconds: float,
    given: Mapping[str, Any],
    seed: int | None,
    out: Path | None,
    audio: bool,
) -> Job:
    """The job of a run made `seconds` longer: the run itself, or a copy of its items in `out`.

    A run that is not whole was stopped on its way: it stays as it is, to be finished. `audio` says
    whether that is wanted too. Writes nothing yet; that is for `extend`.
    """
    copied = out is not None and out.resolve() != job.run.path.resolve()
    unfinished = any(job.incomplete_items(level) for level in _begun(job))
    if copied and unfinished:
        hint = f"finish it first: `jukebox upsample {job.run.path}`"
        raise InputError(f"{job.run.path} is not whole yet", hint)
    if unfinished or (not copied and audio and any(map(job.run.is_longer_than_audio, job.items))):
        return job
    song = read_conditions(job.registry, given, Path())
    more = round(seconds * job.config.sample_rate)
    items = dict(job.specs.items)
    for item in job.items:
        samples, was = job.specs.for_item(item)
        items[item] = (samples + more, {**was, **song})
    asked = ItemSpecs(job.specs.num_samples, job.specs.song, items)
    config = job.config if seed is None else replace(job.config, seed=seed)
    run = Run(out) if out is not None and copied else job.run
    if copied:
        require_same_run(run, config, asked, job.items)
    return replace(job, run=run, specs=asked, config=config)


def extend(job: Job, more: Job) -> None:
    """Makes a job's run longer, or the copy of it that `more` works on.

    What is there becomes given: it is not drawn again, and steers what follows.
    """
    if _is_there(more):
        return
    for item in job.items:
        for level in job.run.levels_with_tokens(item):
            tokens = job.run.read_tokens(level, item)
            assert tokens is not None
            kept = tokens.tokens[: _whole(job, level, job.num_samples(item))]
            given = Tokens(kept, len(kept))
            more.run.write_tokens(level, item, given, job.model.config.vqvae)
    more.run.write_item_specs(more.specs, job.items)
    more.run.write_config(more.config)
    seconds = [round(more.num_samples(i) / more.config.sample_rate, 3) for i in more.items]
    seeds = {"seed": more.config.seed, "before": job.config.seed}
    more.log_event("continue", items=list(more.items), seconds=seconds, **seeds)


def _is_there(job: Job) -> bool:
    """Whether its items have been begun at their length."""
    if not job.run.exists or not set(job.items) <= set(job.run.items()):
        return False
    asked = job.run.item_specs()
    return all(asked.for_item(item) == job.specs.for_item(item) for item in job.items)


def _begun(job: Job) -> list[int]:
    """The levels that any of the job's items has tokens of."""
    return sorted({level for item in job.items for level in job.run.levels_with_tokens(item)})


def _whole(job: Job, level: int, samples: int) -> int:
    """Tokens of a level that `samples` fill wholly: the last one may be half silence."""
    hops = job.model.config.vqvae.hop_lengths
    return max(1, samples // hops[-1]) * (hops[-1] // hops[level])


def from_recording(
    want: Request, model: Model, registry: Registry, path: Path, prime: float | None, out: Path
) -> Job:
    """The job of a recording (its first `prime` seconds) and `want.seconds` after it."""
    from jukebox_cli.audio.io import duration_seconds, hash_files

    config = new_config(model, registry, want)
    song = dict(want.song)
    top = model.config.vqvae.hop_lengths[-1]
    heard = min(duration_seconds(path), prime or float("inf"))
    primed = int(heard * config.sample_rate) // top * top
    if primed == 0:
        least = top / config.sample_rate
        raise InputError(f"{path} is too short: {heard:.3f} s", f"give at least {least:.3f} s")
    config = replace(config, audio_hash=hash_files([path], str(primed)))
    asked = ItemSpecs(primed + round(want.seconds * config.sample_rate), song)
    run = Run(out)
    require_same_run(run, config, asked)
    job = Job(run, model, registry, want.items, config, asked)
    parts = [load_conditioners(model, n, registry) for n in range(len(model.config.priors))]
    require_used_conditions(model, registry, parts, song)
    return job


def prime_with_recording(job: Job, path: Path, seconds: float | None) -> None:
    """Gives items that have none the tokens of a recording, at every level."""
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import load_vqvae
    from jukebox_cli.sampling.tokenize import encode_file

    levels = range(job.top_level + 1)
    items = [
        i
        for i in job.items
        if not job.run.exists or any(job.run.read_tokens(n, i) is None for n in levels)
    ]
    if not items:
        return
    vqvae = load_vqvae(job.model, pick_device(job.device))
    tokens, samples = encode_file(vqvae, path, seconds=seconds)
    for level, codes in enumerate(tokens):
        kept = codes[: _whole(job, level, samples)].astype(np.int64)
        for item in items:
            job.run.write_tokens(level, item, Tokens(kept, len(kept)), job.model.config.vqvae)
    if not job.run.exists:
        job.run.write_item_specs(job.specs)
        job.run.write_config(job.config)
    job.log_event("primed", audio=path.name, seconds=round(samples / job.config.sample_rate, 3))
