"""Going on: from a run that is whole, or from a recording (primed sampling; paper, 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_cli.folders import Asked, Model, Run, Tokens
from jukebox_cli.plugin import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.requests import Request, differences, new_config, refuse_foreign
from jukebox_cli.songs import read_song
from jukebox_cli.stages import Job
from jukebox_cli.steering import conditioners, refuse_unused


def go_on(
    job: Job, seconds: float, given: Mapping[str, Any], seed: int | None, out: Path | None
) -> Job:
    """The job of a run made longer: the run itself, or a copy of its items in `out`.

    A copy that is there already was made by this command before: it is only finished.
    """
    if out is None:
        return longer(job, seconds, given, seed)
    copied = Run(out)
    if copied.exists:
        items = copied.items()
        return replace(job, run=copied, config=copied.config, asked=copied.asked(), items=items)
    return longer(_copy(job, copied), seconds, given, seed)


def longer(job: Job, seconds: float, given: Mapping[str, Any], seed: int | None) -> Job:
    """The job of a whole run made `seconds` longer; of one that is not whole, as it stands.

    What is there becomes given: it is not drawn again, and steers what follows.
    """
    if any(job.lacks(level) for level in _begun(job)):
        return job
    song = read_song(job.registry, given, Path())
    more = round(seconds * job.config.sample_rate)
    items = dict(job.asked.items)
    for item in job.items:
        samples, was = job.asked.of(item)
        items[item] = (samples + more, {**was, **song})
        for level in job.run.levels_of(item):
            tokens = job.run.read_tokens(level, item)
            assert tokens is not None
            kept = tokens.tokens[: _whole(job, level, samples)]
            given_now = Tokens(kept, len(kept))
            job.run.write_tokens(level, item, given_now, job.model.config.vqvae)
    asked = Asked(job.asked.samples, job.asked.song, items)
    config = job.config if seed is None else replace(job.config, seed=seed)
    job.run.write_asked(asked)
    job.run.write_config(config)
    job.event("continue", items=list(job.items), seconds=seconds, seed=config.seed)
    return replace(job, asked=asked, config=config)


def _begun(job: Job) -> list[int]:
    """The levels that any of the job's items has tokens of."""
    return sorted({level for item in job.items for level in job.run.levels_of(item)})


def _whole(job: Job, level: int, samples: int) -> int:
    """Tokens of a level that `samples` fill wholly: the last one may be half silence."""
    hops = job.model.config.vqvae.hops
    return max(1, samples // hops[-1]) * (hops[-1] // hops[level])


def _copy(job: Job, run: Run) -> Job:
    refuse_foreign(run.path)
    for item in job.items:
        for level in job.run.levels_of(item):
            tokens = job.run.read_tokens(level, item)
            assert tokens is not None
            run.write_tokens(level, item, tokens, job.model.config.vqvae)
    run.write_asked(job.asked)
    run.write_config(job.config)
    return replace(job, run=run)


def from_recording(
    want: Request, model: Model, registry: Registry, path: Path, prime: float | None, out: Path
) -> Job:
    """The job of a recording (its first `prime` seconds) and `want.seconds` after it."""
    from jukebox_cli.audio import seconds_in

    config = new_config(model, registry, want)
    song = read_song(registry, want.given, want.folder)
    top = model.config.vqvae.hops[-1]
    heard = min(seconds_in(path), prime or float("inf"))
    primed = int(heard * config.sample_rate) // top * top
    if primed == 0:
        least = top / config.sample_rate
        raise InputError(f"{path} is too short: {heard:.3f} s", f"give at least {least:.3f} s")
    asked = Asked(primed + round(want.seconds * config.sample_rate), song)
    run = Run(out)
    if changed := differences(run, config, asked):
        hint = "choose another folder with --out, or ask for the same as before"
        raise InputError(f"{out} is a run with another {', '.join(changed)}", hint)
    job = Job(run, model, registry, want.items, config, asked)
    parts = [conditioners(model, n, registry) for n in range(len(model.config.priors))]
    refuse_unused(model, registry, parts, song)
    return job


def prime(job: Job, path: Path, seconds: float | None) -> None:
    """Gives a new run's items the tokens of a recording, at every level."""
    from jukebox_cli.loading import load_vqvae, pick_device
    from jukebox_cli.tokenizing import encode_file

    if job.run.exists:
        return
    refuse_foreign(job.run.path)
    vqvae = load_vqvae(job.model, pick_device(job.device))
    tokens, samples = encode_file(vqvae, path, seconds=seconds)
    for level, codes in enumerate(tokens):
        kept = codes[: _whole(job, level, samples)].astype(np.int64)
        for item in job.items:
            job.run.write_tokens(level, item, Tokens(kept, len(kept)), job.model.config.vqvae)
    job.run.write_asked(job.asked)
    job.run.write_config(job.config)
    job.event("primed", audio=path.name, seconds=round(samples / job.config.sample_rate, 3))
