"""Requests -> jobs on new runs, or on those that are there; runs that are not there are created."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jukebox_cli import __version__
from jukebox_cli.audio.manifest import Recording
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.items import parse_number_list
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.request import Request, resolve_sampling
from jukebox_cli.storage.documents import RESTORE_HINT, config_text
from jukebox_cli.storage.files import write_text
from jukebox_cli.storage.intents import Intent
from jukebox_cli.storage.model import Model, builtin_models, find_model
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Prompt, Segment

#: What a folder may hold besides run.yaml for a run to be made in it: an interrupted command leaves
#: such things behind.
LEFTOVERS = (".lock", ".holder", "claims", "intents", "items", "tokens", "log.jsonl", "run.yaml")


def new_config(model: Model, registry: Registry, request: Request) -> RunConfig:
    """The settings of a run of a request. Raises InputError for sampling options that can't be."""
    hop_fraction, sampling = resolve_sampling(model.config, registry, request)
    is_builtin = builtin_models() in model.path.parents
    return RunConfig(
        model=model.name if is_builtin else str(model.path.resolve()),
        fingerprint=model.fingerprint(),
        sample_rate=model.config.vqvae.sample_rate,
        seed=request.seed,
        hop_fraction=hop_fraction,
        sampling=sampling,
        versions={"jukebox": __version__, **registry.versions},
    )


def new_segment(
    model: Model,
    config: RunConfig,
    conditions: Mapping[str, Any],
    first_sample: int = 0,
    prompt: Prompt | None = None,
) -> Segment:
    """A segment of a run with these settings, sampled by the weights that the model has now."""
    levels = range(model.config.vqvae.num_levels)
    fingerprints = [None if prompt else model.prior_fingerprint(level) for level in levels]
    return Segment(
        first_sample=first_sample,
        seed=config.seed,
        conditions=dict(conditions),
        sampling=config.sampling,
        hop_fraction=config.hop_fraction,
        prior_fingerprints=tuple(fingerprints),
        prompt=prompt,
    )


def new_item(
    model: Model, config: RunConfig, num_samples: int, conditions: Mapping[str, Any]
) -> ItemSpec:
    """An item that is sampled from nothing but its conditions."""
    return ItemSpec(num_samples, (new_segment(model, config, conditions),))


def start_job(request: Request, registry: Registry, out: Path | None, name: str) -> Job:
    """The job of a request, in the run `out` or in an unused run named `name`. Writes nothing.

    If the run is there, it must be of the same request; items that were continued since stay as
    they are. Raises InputError if it is of another request, or no run.
    """
    model = find_model(request.model)
    config = new_config(model, registry, request)
    num_samples = max(1, round(request.seconds * config.sample_rate))
    wanted = new_item(model, config, num_samples, request.song)
    run = Run(out) if out else _unused_run(Path("runs") / name, config, request.items, wanted)
    require_same_run(run, config, _comparable(run, request.items, wanted))
    there = [item for item in request.items if run.exists and run.has_item(item)]
    specs = {**dict.fromkeys(request.items, wanted), **run.read_items(there)}
    return Job(run, model, registry, request.items, config, specs)


def recording_run_config(
    run: Run, model: Model, registry: Registry, recordings: Sequence[Recording]
) -> RunConfig:
    """The settings of a run that holds recordings. Raises InputError if `run` holds other ones."""
    config = new_config(model, registry, Request(model.name, 1.0, (0,), 0, {}))
    if not run.exists:
        require_run_folder(run.path)  # items of an interrupted command are deleted by `to_run`
    else:
        require_same_recordings(run, config, recordings)
    return config


def require_same_recordings(run: Run, config: RunConfig, recordings: Sequence[Recording]) -> None:
    """Raises InputError for a run that holds other recordings, or is of other settings."""
    require_same_run(run, config, {})
    beginnings = [spec.segments[0] for spec in run.read_items(run.items()).values()]
    found = [(each.prompt and each.prompt.audio_hash, each.conditions) for each in beginnings]
    if found != [(hash_recording(each.audio), dict(each.song)) for each in recordings]:
        raise _another_run(run, ["audio"])


def hash_recording(path: Path) -> str:
    """What a prompt names its recording by."""
    from jukebox_cli.audio.io import hash_files

    return str(hash_files([path]))


def reopen_job(path: Path, registry: Registry, only: str | None, model: str | None = None) -> Job:
    """The job of a run that is there, of all its items or of some (`0,2` or `4-7`).

    model: its name or folder, if it is not where the run says.
    Raises InputError if there is no such run, item or model.
    """
    run = Run(path)
    found = _find_model_of(run, model)
    chosen = run.select_items(None if only is None else parse_number_list(only))
    return Job(run, found, registry, chosen, run.config, run.read_items(chosen))


def _find_model_of(run: Run, name: str | None) -> Model:
    config = run.config
    try:
        model = find_model(name or config.model)
    except InputError:
        if name:
            raise
        hint = "say where it is now: --model FOLDER"
        raise InputError(f"the model of {run.path} is missing: '{config.model}'", hint) from None
    if model.fingerprint() != config.fingerprint:
        raise InputError(
            f"{run.path} is a run of another model than '{model.name}'",
            "name the folder of the model it was made with: --model",
        )
    num_levels = model.config.vqvae.num_levels
    if len(config.sampling) != num_levels:
        what = f"{run.path}/run.yaml is damaged: it is of {len(config.sampling)} levels"
        raise InputError(f"{what}, its model of {num_levels}", RESTORE_HINT)
    return model


def create_run(job: Job, until: str = "audio") -> None:
    """Writes what a job's run lacks to be a run with the job's items: run.yaml and their files, and
    before them the intent to make the items as far as `until` (top, tokens, audio).

    Another command may make the run at the same time. If it is a task of the same job array, both
    go on. Raises InputError if it has another request, which then keeps the run.
    """
    run = job.run
    with run.lock():
        require_agreement(job)
        if all(map(run.has_item, job.items)):
            return
        specs = {item: job.specs[item] for item in job.items}
        record_intent(run, Intent("generate", until, config_text(job.config), specs))
        for item in job.items:
            if not run.has_item(item):
                run.delete_tokens(item)  # of an interrupted command, maybe of another request
                run.write_item(item, specs[item])


def require_agreement(job: Job) -> None:
    """Raises InputError for a folder that is no run, and for a run that other commands have made,
    or are going to make, of another request: all its items begin alike."""
    run = job.run
    if not run.exists:
        require_new_run(run)
        return
    planned = {i: spec for intent in run.intents.read() for i, spec in intent.items.items()}
    there = planned | run.read_items(run.items())
    others = [item for item in there if item not in job.specs][:1]
    specs = {**job.specs, **{item: next(iter(job.specs.values())) for item in others}}
    changed = differences(run, job.config, {})
    pairs = [p for i, spec in specs.items() if i in there for p in _item_pairs(there[i], spec)]
    if changed := list(dict.fromkeys([*changed, *_changed(pairs)])):
        raise _another_run(run, changed)


def record_intent(run: Run, intent: Intent) -> None:
    """Records what a command is going to do, and makes its folder a run. In this order, so that a
    run without the items it is to have never looks complete."""
    if not run.exists:
        run.intents.remove_all()  # of commands that were interrupted before there was a run
    run.intents.write(intent)
    if not run.exists:
        write_text(run.path / "run.yaml", intent.config)


def require_run_folder(path: Path) -> None:
    """Raises InputError for a folder that holds other things than a run, or than what an
    interrupted command leaves behind, so that nothing is mixed up."""
    names = {p.name for p in path.iterdir() if p.suffix != ".part"} if path.is_dir() else set()
    if path.is_file() or not names <= set(LEFTOVERS):
        raise InputError(f"{path} exists already and is not a run", "choose another --out")


def require_new_run(run: Run) -> None:
    """Raises InputError for a folder that holds other things than a run, or items without
    run.yaml, as a `tokenize` that was interrupted leaves them: they would become items of the new
    run, or would be lost if they were deleted and only run.yaml is gone."""
    require_run_folder(run.path)
    if run.items() and not run.exists:  # in this order, if another task makes the run just now
        what = f"{run.path} has items but no run.yaml: a command was interrupted there"
        raise InputError(what, "repeat that command, delete the folder, or choose another --out")


def require_same_run(run: Run, config: RunConfig, specs: Mapping[int, ItemSpec]) -> None:
    """Raises InputError for a folder that holds anything but a run of these settings, in which the
    items that are there begin as `specs` say."""
    if not run.exists:
        require_new_run(run)
    elif changed := differences(run, config, specs):
        raise _another_run(run, changed)


def _another_run(run: Run, differences: Sequence[str]) -> InputError:
    hint = "choose another folder with --out, or ask for the same as before"
    return InputError(f"{run.path} is a run with another {', '.join(differences)}", hint)


def differences(run: Run, config: RunConfig, specs: Mapping[int, ItemSpec]) -> list[str]:
    """In what a run on disk differs from these settings, and its items from `specs`.

    Items that are not there do not count: another task of a job array may have made the run. Nor
    does what items were continued by since.
    """
    pairs = [
        ("model", run.config.fingerprint, config.fingerprint),
        ("seed", run.config.seed, config.seed),
        ("hop_fraction", run.config.hop_fraction, config.hop_fraction),
        ("sampling", run.config.sampling, config.sampling),
    ]
    for item, wanted in specs.items():
        if run.has_item(item):
            pairs += _item_pairs(run.item(item), wanted)
    return _changed(pairs)


def _changed(pairs: Iterable[tuple[str, Any, Any]]) -> list[str]:
    """The names of what was found and requested, where these differ."""
    return list(dict.fromkeys(name for name, found, requested in pairs if found != requested))


def _item_pairs(found: ItemSpec, wanted: ItemSpec) -> Iterator[tuple[str, Any, Any]]:
    """Names of what is compared of an item, each with the value on disk and the wanted one."""
    if len(found.segments) < len(wanted.segments):
        yield "length", found.num_samples, wanted.num_samples
        return
    found = found.beginning(len(wanted.segments))
    yield "audio", found.prompt, wanted.prompt
    yield "length", _sampled_ends(found), _sampled_ends(wanted)
    for one, other in zip(found.segments, wanted.segments, strict=True):
        yield "seed", one.seed, other.seed
        yield "hop_fraction", one.hop_fraction, other.hop_fraction
        yield "sampling", one.sampling, other.sampling
        yield "song", one.conditions, other.conditions


def _sampled_ends(spec: ItemSpec) -> list[int]:
    """Where the segments of an item end, but for that of its prompt."""
    return [end for segment, end in spec.spans() if segment.prompt is None]


def _comparable(run: Run, items: Sequence[int], wanted: ItemSpec) -> dict[int, ItemSpec]:
    """The items of a request that its run has, or else any other: they all begin alike, and a job
    array's task that comes first with its own items is not alone in the run."""
    if not run.exists:
        return {}
    there = [item for item in items if run.has_item(item)] or run.items()[:1]
    return dict.fromkeys(there, wanted)


def _unused_run(path: Path, config: RunConfig, items: Sequence[int], wanted: ItemSpec) -> Run:
    """The first of path, path-2, path-3 ... that is not there or is of this very request."""
    for number in itertools.count(1):
        run = Run(path if number == 1 else path.with_name(f"{path.name}-{number}"))
        if not run.path.exists() or (
            run.exists and not differences(run, config, _comparable(run, items, wanted))
        ):
            return run
    raise AssertionError("there is always an unused number")
