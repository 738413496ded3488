"""What a person asks for, as presets and flags say it -> a run that can be worked on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_cli import __version__
from jukebox_cli.audio.manifest import Recording
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.items import parse_number_list
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.request import Request, resolve_sampling
from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.storage.run import ItemSpecs, Run, RunConfig, Tokens


def new_config(model: Model, registry: Registry, want: Request) -> RunConfig:
    hop, sampling = resolve_sampling(model.config, registry, want)
    builtin = Path(__file__).parent in model.path.parents
    return RunConfig(
        model=model.name if builtin else str(model.path.resolve()),
        fingerprint=model.fingerprint(),
        sample_rate=model.config.vqvae.sample_rate,
        seed=want.seed,
        hop_fraction=hop,
        sampling=sampling,
        versions={"jukebox": __version__, **registry.versions},
    )


def start_job(want: Request, registry: Registry, out: Path | None, name: str) -> Job:
    """The job of a request: in a new run, or in the one that is there if it is of the same."""
    model = find_model(want.model)
    config = new_config(model, registry, want)
    asked = ItemSpecs(max(1, round(want.seconds * config.sample_rate)), dict(want.song))
    run = Run(out) if out else _unused_run(Path("runs") / name, config, asked)
    require_same_run(run, config, asked)
    return Job(run, model, registry, want.items, config, asked)


def recording_run_config(
    run: Run, model: Model, registry: Registry, pieces: Sequence[Recording]
) -> RunConfig:
    """The settings of a run that holds recordings; InputError for a folder with other things."""
    from jukebox_cli.audio.io import hash_files

    songs = [json.dumps(dict(piece.song), sort_keys=True) for piece in pieces]
    config = new_config(model, registry, Request(model.name, 1.0, (0,), 0, {}))
    config = replace(config, audio_hash=hash_files([piece.audio for piece in pieces], *songs))
    require_same_run(run, config, run.item_specs() if run.exists else ItemSpecs(0, {}))
    return config


def reopen_job(path: Path, registry: Registry, only: str | None, model: str | None = None) -> Job:
    """The job of a run that is there. `model` says where its model is now."""
    run = Run(path)
    config = run.config
    try:
        found = find_model(model or config.model)
    except InputError:
        if model:
            raise
        hint = "say where it is now: --model FOLDER"
        raise InputError(f"the model of {path} is not there: '{config.model}'", hint) from None
    if found.fingerprint() != config.fingerprint:
        raise InputError(
            f"{path} is a run of another model than '{found.name}'",
            "name the folder of the model it was made with: --model",
        )
    chosen = run.select_items(None if only is None else parse_number_list(only))
    return Job(run, found, registry, chosen, config, run.item_specs())


def create_run(job: Job) -> None:
    """Puts a new run on disk: its settings, its song, and an empty file for every item."""
    path = job.run.path
    if not job.run.exists:
        require_run_folder(
            path, "run.yaml"
        )  # another task of a job array may have begun it just now
        job.run.write_item_specs(job.specs)
        job.run.write_config(job.config)
    for item in job.items:
        if job.run.read_tokens(job.top_level, item) is None:
            nothing = Tokens(np.zeros(0, np.int64), 0)
            job.run.write_tokens(job.top_level, item, nothing, job.model.config.vqvae)


def require_run_folder(path: Path, *also: str) -> None:
    """InputError for a folder with other things in it than `also`, so that nothing is mixed up.

    What a run that was stopped in its first moments leaves behind is not in the way, nor is what
    is being written this moment.
    """
    names = {p.name for p in path.iterdir() if p.suffix != ".part"} if path.is_dir() else set()
    if path.is_file() or not names <= {"song.json", "items", "tokens", "log.jsonl", *also}:
        raise InputError(f"{path} is there already and is not a run", "choose another --out")


def require_same_run(
    run: Run, config: RunConfig, asked: ItemSpecs, items: Sequence[int] = ()
) -> None:
    """InputError for a folder that holds anything but the run of this very request."""
    if not run.exists:
        require_run_folder(run.path, "run.yaml")
    if changed := differences(run, config, asked, items):
        hint = "choose another folder with --out, or ask for the same as before"
        raise InputError(f"{run.path} is a run with another {', '.join(changed)}", hint)


def differences(
    run: Run, config: RunConfig, asked: ItemSpecs, items: Sequence[int] = ()
) -> list[str]:
    """In what a run that is there differs from a request; nothing for one that is not there.

    `items` are those that have a length and a song of their own; they count where the run has begun
    them, since other tasks of a job array may have made the run.
    """
    if not run.exists:
        return []
    was, begun = run.item_specs(), sorted({*items} & {*run.items()})

    def lengths(each: ItemSpecs) -> list[int]:
        return [each.num_samples, *(each.for_item(item)[0] for item in begun)]

    def songs(each: ItemSpecs) -> list[Mapping[str, Any]]:
        return [each.song, *(each.for_item(item)[1] for item in begun)]

    pairs = {
        "model": (run.config.fingerprint, config.fingerprint),
        "seed": (run.config.seed, config.seed),
        "hop": (run.config.hop_fraction, config.hop_fraction),
        "sampling": (run.config.sampling, config.sampling),
        "audio": (run.config.audio_hash, config.audio_hash),
        "length": (lengths(was), lengths(asked)),
        "song": (songs(was), songs(asked)),
    }
    return [what for what, (there, here) in pairs.items() if there != here]


def _unused_run(path: Path, config: RunConfig, asked: ItemSpecs) -> Run:
    """The first of path, path-2, path-3 ... that is free or holds this very request."""
    for number in itertools.count(1):
        run = Run(path if number == 1 else path.with_name(f"{path.name}-{number}"))
        if (run.exists and not differences(run, config, asked)) or not run.path.exists():
            return run
    raise AssertionError("there is always a free number")
