"""Continuing a run, or a recording (primed sampling; Dhariwal et al. 2020, "Sampling")."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.audio.manifest import read_conditions
from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.interfaces.command_options import option_flag, pluralize
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.model.condition_inputs import load_conditioners, require_used_conditions
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.intents import (
    apply_intent,
    apply_intents,
    interrupted_intent,
    is_pending,
    log_begun,
    relative_path,
    reopen_pending_job,
)
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.request import Request, empty_options
from jukebox_cli.sampling.run_setup import (
    hash_recording,
    new_config,
    new_segment,
    record_intent,
    reopen_job,
    require_agreement,
    require_same_run,
)
from jukebox_cli.storage.documents import config_text
from jukebox_cli.storage.intents import Intent
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import ItemSpec, Parent, Prompt

if TYPE_CHECKING:
    import numpy as np


def plan_extension(
    job: Job,
    seconds: float,
    options: Mapping[str, Any],
    seed: int | None,
    out: Path | None,
    audio: bool,
) -> Job:
    """The job of making every item of a run `seconds` longer, in place or in a copy `out`.

    Writes nothing; that is for `extend`. A run that is incomplete is only finished: then the job
    is the given one. `audio` says whether complete includes the audio. `options` are those of the
    conditioners that change from there on, and `seed` is that of the new segment; None keeps the
    last one's.

    Raises InputError if `out` is another run, or if an incomplete run was to be copied.
    """
    is_copy = out is not None and out.resolve() != job.run.path.resolve()
    incomplete = {i for level in _begun_levels(job) for i in job.incomplete_items(level)}
    if is_copy and incomplete:
        raise InputError(f"{job.run.path} is incomplete", _finish_hint(job, incomplete))
    if incomplete or (not is_copy and (is_pending(job) or _lacks_audio(job, audio))):
        return job
    run = Run(out) if out is not None and is_copy else job.run
    conditions = read_conditions(job.registry, options, Path())
    _warn_of_removed_conditions(job, options)
    added = round(seconds * job.config.sample_rate)
    specs = {item: _extended(job, item, added, conditions, seed, run) for item in job.items}
    if is_copy:
        require_same_run(run, job.config, specs)
        there = [item for item in job.items if run.exists and run.has_item(item)]
        specs |= run.read_items(there)
    return replace(job, run=run, specs=specs)


def _extended(
    job: Job, item: int, added: int, conditions: Mapping[str, Any], seed: int | None, run: Run
) -> ItemSpec:
    """An item with one more segment of `added` samples, in `run`."""
    spec = job.specs[item]
    levels = range(job.grid.num_levels)
    changes: dict[str, Any] = {
        "conditions": {**spec.conditions, **conditions},
        "prior_fingerprints": tuple(job.model.prior_fingerprint(level) for level in levels),
    }
    if seed is not None:
        changes["seed"] = seed
    if run is not job.run:
        parent = relative_path(job.run.path, run.path)
        changes["parent"] = Parent(parent, item, spec.num_samples)
    return spec.extended(spec.num_samples + added, **changes)


def _lacks_audio(job: Job, audio: bool) -> bool:
    """Whether a command was stopped before it decoded what it had sampled."""
    return audio and any(map(job.run.is_longer_than_audio, job.items))


class OutdatedPlanError(Exception):
    """Another command has changed a run since it was planned how to make it longer."""


def extend(job: Job, more: Job, until: str = "audio") -> None:
    """Makes the items of a job's run longer, or those of the copy that `more` works on, after it
    has recorded that it will, and will make them as far as `until` (top, tokens, audio).

    Their tokens stay, but for those of a last top-level token that is partly of silence. Raises
    OutdatedPlanError, and changes nothing, if another command has changed the run since `more` was
    planned.
    """
    with more.run.lock():
        if more.run is not job.run:
            require_agreement(more)
            if more.run.exists:
                apply_intents(more)  # of the same command, if it was interrupted
        elif is_pending(job) or job.run.read_items(job.items) != job.specs:
            raise OutdatedPlanError
        specs = {
            item: more.specs[item]
            for item in more.items
            if not more.run.has_item(item)
            or len(more.run.item(item).segments) < len(more.specs[item].segments)
        }
        if specs:
            intent = _extension_intent(job, more, specs, until)
            record_intent(more.run, intent)
            apply_intent(more, intent)


def _extension_intent(job: Job, more: Job, specs: Mapping[int, ItemSpec], until: str) -> Intent:
    seconds = [round(spec.num_samples / more.config.sample_rate, 3) for spec in specs.values()]
    event = {"kind": "continue", "items": list(specs), "seconds": seconds}
    source = "." if more.run is job.run else relative_path(job.run.path, more.run.path)
    return Intent("continue", until, config_text(more.config), dict(specs), source, event=event)


def _warn_of_removed_conditions(job: Job, options: Mapping[str, Any]) -> None:
    removed = {key for item in job.items for key in empty_options(options, job.song(item))}
    for key in sorted(removed):
        message = f"{option_flag(key)} is empty: the song goes on without it"
        warnings.warn(InputWarning(message), stacklevel=3)


def _finish_hint(job: Job, incomplete: Set[int]) -> str:
    """What to do to copy a run of which some items are incomplete."""
    hint = f"finish it first: `jukebox upsample {job.run.path}`"
    complete = ",".join(str(item) for item in job.items if item not in incomplete)
    return f"{hint}; or copy what is complete: --only {complete}" if complete else hint


def _begun_levels(job: Job) -> list[int]:
    """The top level, and those that any of the job's items has tokens of."""
    found = {level for item in job.items for level in job.run.levels_with_tokens(item)}
    return sorted({job.top_level, *found})


def from_recording(
    request: Request, model: Model, registry: Registry, path: Path, prime: float | None, out: Path
) -> Job:
    """The job of continuing a recording, or its first `prime` seconds, by `request.seconds`.

    Writes nothing; `prime_with_recording` does. Raises InputError if the recording is too short,
    if `out` is another run, and for conditions that the model does not take.
    """
    config = new_config(model, registry, request)
    num_primed = _num_primed(path, prime, model.config.vqvae)
    prompt = Prompt(hash_recording(path), num_primed, path.name)
    segments = (
        new_segment(model, config, request.song, prompt=prompt),
        new_segment(model, config, request.song, num_primed),
    )
    spec = ItemSpec(num_primed + round(request.seconds * config.sample_rate), segments)
    run, specs = Run(out), dict.fromkeys(request.items, spec)
    there = [*run.items()[:1], *request.items]
    require_same_run(run, config, dict.fromkeys(there, spec))
    conditioners = [
        load_conditioners(model, level, registry) for level in range(len(model.config.priors))
    ]
    require_used_conditions(model, registry, conditioners, request.song)
    specs |= run.read_items(i for i in request.items if run.exists and run.has_item(i))
    return Job(run, model, registry, request.items, config, specs)


def _num_primed(path: Path, prime: float | None, config: VQVAEConfig) -> int:
    """Samples of a recording, or of its first `prime` seconds, that make whole tokens of the top
    level. Raises InputError if there are none."""
    from jukebox_cli.audio.io import duration_seconds

    grid, duration = config.token_grid, duration_seconds(path)
    seconds = min(duration, prime or duration)
    num_samples = int(seconds * config.sample_rate)
    num_primed = grid.floor_samples(num_samples)
    if num_primed == 0:
        what = path if seconds == duration else "--prime"
        samples = pluralize(num_samples, "sample")
        raise InputError(
            f"{what} is too short: {samples} at {config.sample_rate} Hz",
            f"a token of the top level takes {grid.top_hop_length} samples",
        )
    return num_primed


def prime_with_recording(job: Job, path: Path, until: str = "audio") -> None:
    """Gives the items that lack them the tokens of a recording, at every level, as their prompt,
    after it has recorded that it will, and will make them as far as `until`."""
    items = [item for item in job.items if not _is_primed(job, item)]
    if not items:
        with job.run.lock():
            apply_intents(job)
        return
    prompt = job.specs[items[0]].prompt
    assert prompt is not None
    seconds = prompt.num_samples / job.config.sample_rate
    tokens = _encode_prompt(job, path, prompt.num_samples)
    event = {"kind": "primed", "audio": path.name, "seconds": round(seconds, 3)}
    specs, audio = {item: job.specs[item] for item in items}, str(path.resolve())
    intent = Intent("continue", until, config_text(job.config), specs, audio=audio, event=event)
    with job.run.lock():
        require_agreement(job)
        intent = interrupted_intent(job.run, specs) or intent
        record_intent(job.run, intent)
        for item in items:
            if not _is_primed(job, item):
                _write_prompt(job, item, tokens)
        log_begun(job, intent)


def _encode_prompt(job: Job, path: Path, num_samples: int) -> list[np.ndarray]:
    """The tokens of the beginning of a recording, int64 (T,) for each level.

    Nothing after the prompt's samples is encoded: the last tokens would depend on it, and the run
    does not record how much there was. Raises InputError if there are fewer.
    """
    from jukebox_cli.engine.loader import load_codec
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.sampling.tokenize import encode_file

    codec = load_codec(job.model, pick_device(job.device), job.engine)
    tokens, found = encode_file(codec, path, seconds=num_samples / job.config.sample_rate)
    if len(tokens[0]) < job.grid.num_tokens(0, num_samples):
        raise InputError(
            f"{path} is shorter than its header says: {found / job.config.sample_rate:.3f} s",
            "use only what is there: --prime SECONDS",
        )
    return tokens


def _write_prompt(job: Job, item: int, tokens: Sequence[np.ndarray]) -> None:
    """Writes an item with the tokens of a recording; its file last, as those can't be sampled."""
    for level, codes in enumerate(tokens):
        job.run.write_tokens(level, item, codes, job.model.config.vqvae)
    job.run.write_item(item, job.specs[item])


def _is_primed(job: Job, item: int) -> bool:
    """Whether an item is in the run, with tokens at every level."""
    if not job.run.exists or not job.run.has_item(item):
        return False
    return all(job.run.num_tokens(level, item) for level in range(job.grid.num_levels))


def resume_job(path: Path, registry: Registry, model: str | None = None) -> Job:
    """The job of finishing all that commands have begun in a run: its items have their files, and
    those that begin with a recording the tokens of it. Raises InputError if the recording is gone
    or another, and as `reopen_job`."""
    job = reopen_pending_job(path, registry, None, model)
    for intent in job.run.intents.read():
        if intent.audio:
            _require_recording(job, intent)
            mine = replace(job, items=tuple(intent.items), specs=intent.items)
            prime_with_recording(mine, Path(intent.audio), intent.until)
    return reopen_job(path, registry, None, model)


def _require_recording(job: Job, intent: Intent) -> None:
    """Raises InputError if an intent's recording is needed, and not the one that it was."""
    lacking = [item for item in intent.items if not job.run.has_item(item)]
    prompt = next(iter(intent.items.values())).prompt
    if lacking and prompt and hash_recording(Path(intent.audio)) != prompt.audio_hash:
        what = f"{intent.audio} is not the recording that {job.run.path} begins with"
        raise InputError(what, "restore that file, or choose another --out")
