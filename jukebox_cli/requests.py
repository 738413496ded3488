"""What a person asks for, as presets and flags say it -> a run that can be worked on."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_cli import __version__
from jukebox_cli.config import Knobs, ModelConfig, SongPreset, find_preset, load, said_at
from jukebox_cli.folders import Asked, Model, Run, RunConfig, Tokens, find_model
from jukebox_cli.plugin import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.songs import Recording, read_song
from jukebox_cli.stages import Job

DEFAULT_MODEL = "mini"
DEFAULT_SECONDS = 20.0
DEFAULT_HOP = 0.5
MOST_SECONDS = 1_000_000
MOST_ITEMS = 10_000

#: Who says what is at a place of a preset.
Says = Callable[..., str]


@dataclass(frozen=True)
class Request:
    """Preset and flags, joined: a flag wins over the preset, the preset over the model."""

    model: str
    seconds: float
    items: tuple[int, ...]
    seed: int
    song: Mapping[str, Any]  # the values of every conditioner
    hop: tuple[float, ...] = ()
    sampling: tuple[Knobs, ...] = ()
    knobs: Mapping[str, Any] = field(default_factory=dict)


def request(
    registry: Registry,
    preset: str | None,
    overrides: Sequence[str],
    *,
    model: str | None = None,
    seconds: float | None = None,
    items: str | None = None,
    seed: int | None = None,
    given: Mapping[str, Any],
    knobs: Mapping[str, Any],
) -> Request:
    """Reads the preset and lays the flags over it."""
    path = find_preset(preset) if preset is not None else None
    said = load(SongPreset, path, overrides) if path else SongPreset()
    if overrides and not path:
        raise InputError("--set changes a preset, and none is given", "add --preset NAME")

    says = partial(said_at, path, overrides) if path else None

    def where(key: str, flag: object) -> str:
        return f"--{key}" if says is None or flag is not None else f"{key} in {says(key)}"

    for level, each in enumerate(said.sampling.knobs):
        try:
            registry.sampling(each)
        except InputError as error:
            raise _in_preset(error, says, "sampling", "knobs", level) from None
    for level, hop in enumerate(said.sampling.hop):
        try:
            _check_hop(level, hop)
        except InputError as error:
            raise _in_preset(error, says, "sampling", "hop", level) from None
    return Request(
        model=model or said.model or DEFAULT_MODEL,
        seconds=positive(where("seconds", seconds), _first(seconds, said.seconds, DEFAULT_SECONDS)),
        items=parse_items(_first(items, said.items, 1), count=True, where=where("items", items)),
        seed=check_seed(_first(seed, said.seed, 0), where("seed", seed)),
        song=_song(registry, said, path.parent if path else Path(), says, given),
        hop=said.sampling.hop,
        sampling=said.sampling.knobs,
        knobs=knobs,
    )


def _song(
    registry: Registry,
    said: SongPreset,
    there: Path,
    says: Says | None,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """What preset and flags say; a preset's own paths are relative to where it is, `there`, those
    of flags to where the person is. A conditioner that can't be told a part by each is told both
    together."""
    kept = {key: value for key, value in said.song.items() if key not in given}
    try:
        return {**read_song(registry, kept, there), **read_song(registry, given, Path())}
    except InputError as apart:
        shared, rest = _shared(registry, kept, given)
        try:
            both = {**kept, **{key: _found(value) for key, value in shared.items()}}
            return {**read_song(registry, both, there), **read_song(registry, rest, Path())}
        except InputError:
            key = _at_fault(registry, kept, there, apart)
            raise _in_preset(apart, says, "song", key) if key else apart from None


def _at_fault(
    registry: Registry, said: Mapping[str, Any], folder: Path, error: InputError
) -> str | None:
    """Which of the things that a preset says is wrong alone, too."""
    for key, value in said.items():
        try:
            read_song(registry, {key: value}, folder)
        except InputError as alone:
            if alone.message == error.message:
                return key
    return None


def _in_preset(error: InputError, says: Says | None, *place: int | str) -> InputError:
    """The same error with the line of the preset, or the --set, that it comes from."""
    return InputError(f"{says(*place)}: {error.message}", error.hint) if says else error


def _shared(
    registry: Registry, kept: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is given to conditioners that a preset says something of too, and the rest."""
    fields_of = [{f.name for f in fields(kind.Input)} for kind in registry.conditioners.values()]
    common = {key for names in fields_of if names & set(kept) for key in names}
    shared = {key: value for key, value in given.items() if key in common}
    return shared, {key: value for key, value in given.items() if key not in shared}


def _found(value: Any) -> Any:
    """A path from where the person is, if it is one, so that it is found from elsewhere too."""
    is_file = isinstance(value, str) and "\n" not in value and Path(value).is_file()
    return str(Path(value).resolve()) if is_file else value


def _first(*values: Any) -> Any:
    return next(v for v in values if v is not None)


def positive(where: str, number: float) -> float:
    if not 0 < number < MOST_SECONDS:
        bounds = f"more than 0 and less than {MOST_SECONDS:,}"
        raise InputError(f"{where} must be {bounds}, not {number:g}", "try 20")
    return number


def check_seed(seed: int, where: str = "--seed") -> int:
    if not 0 <= seed < 2**63:
        raise InputError(f"{where} must be from 0 to 2^63 - 1, not {seed}", "try 1")
    return seed


def parse_items(text: str | int, *, count: bool, where: str = "--items") -> tuple[int, ...]:
    """`2,5` and `4-7` are those items; `4` is items 0 to 3 when `count`, item 4 when not."""
    words = str(text).replace(" ", "")
    ranges = []
    if re.fullmatch(r"\d{1,9}", words) and count:
        ranges = [range(int(words))]
    elif re.fullmatch(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*,?", words):
        parts = [part.split("-") for part in words.split(",") if part]
        ranges = [range(int(part[0]), int(part[-1]) + 1) for part in parts]
    if not all(ranges) or not ranges:
        hint = "write a number, a list 0,2 or a range 4-7"
        raise InputError(f"can't read {where} '{text}'", hint)
    if sum(map(len, ranges)) > MOST_ITEMS:
        hint = "make them in several runs, or in several commands with 0-9999, 10000-19999 ..."
        raise InputError(f"{where} '{text}' are more than {MOST_ITEMS:,} at once", hint)
    return tuple(sorted({number for each in ranges for number in each}))


def sampling_of(
    config: ModelConfig, registry: Registry, want: Request
) -> tuple[tuple[float, ...], tuple[Knobs, ...]]:
    """Hop and sampler knobs of each level; checked."""
    hops, knobs = [], []
    for level in range(config.vqvae.levels):
        hop = _at(want.hop, level, _at(config.sampling.hop, level, DEFAULT_HOP))
        _check_hop(level, hop)
        theirs = _at(want.sampling, level, _at(config.sampling.knobs, level, {}))
        mine = {**theirs, **want.knobs}
        registry.sampling(mine)
        hops.append(hop)
        knobs.append(mine)
    return tuple(hops), tuple(knobs)


def _check_hop(level: int, hop: float) -> None:
    if not 0 < hop <= 1:
        what = f"the hop of level {level} must be more than 0 and at most 1"
        raise InputError(f"{what}, not {hop:g}", "try 0.5")


def _at(values: Sequence[Any], level: int, default: Any) -> Any:
    return values[level] if level < len(values) else default


def new_config(model: Model, registry: Registry, want: Request) -> RunConfig:
    hop, sampling = sampling_of(model.config, registry, want)
    builtin = Path(__file__).parent in model.path.parents
    return RunConfig(
        model=model.name if builtin else str(model.path.resolve()),
        fingerprint=model.fingerprint(),
        sample_rate=model.config.vqvae.sample_rate,
        seed=want.seed,
        hop=hop,
        sampling=sampling,
        versions={"jukebox": __version__, **registry.versions},
    )


def start(want: Request, registry: Registry, out: Path | None, name: str) -> Job:
    """The job of a request: in a new run, or in the one that is there if it is of the same."""
    model = find_model(want.model)
    config = new_config(model, registry, want)
    asked = Asked(max(1, round(want.seconds * config.sample_rate)), dict(want.song))
    run = Run(out) if out else _free(Path("runs") / name, config, asked)
    refuse_other(run, config, asked)
    return Job(run, model, registry, want.items, config, asked)


def recorded(run: Run, model: Model, registry: Registry, pieces: Sequence[Recording]) -> RunConfig:
    """The settings of a run that holds recordings; InputError for a folder with other things."""
    from jukebox_cli.audio import digest

    songs = [json.dumps(dict(piece.song), sort_keys=True) for piece in pieces]
    config = new_config(model, registry, Request(model.name, 1.0, (0,), 0, {}))
    config = replace(config, audio=digest([piece.audio for piece in pieces], *songs))
    refuse_other(run, config, run.asked() if run.exists else Asked(0, {}))
    return config


def reopen(path: Path, registry: Registry, items: str | None, model: str | None = None) -> Job:
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
    chosen = run.chosen(parse_items(items, count=False) if items else None)
    return Job(run, found, registry, chosen, config, run.asked())


def begin(job: Job) -> None:
    """Puts a new run on disk: its settings, its song, and an empty file for every item."""
    path = job.run.path
    if not job.run.exists:
        refuse_foreign(path, "run.yaml")  # another task of a job array may have begun it just now
        job.run.write_asked(job.asked)
        job.run.write_config(job.config)
    for item in job.items:
        if job.run.read_tokens(job.top, item) is None:
            nothing = Tokens(np.zeros(0, np.int64), 0)
            job.run.write_tokens(job.top, item, nothing, job.model.config.vqvae)


def refuse_foreign(path: Path, *also: str) -> None:
    """InputError for a folder with other things in it than `also`, so that nothing is mixed up.

    What a run that was stopped in its first moments leaves behind is not in the way, nor is what
    is being written this moment.
    """
    names = {p.name for p in path.iterdir() if p.suffix != ".part"} if path.is_dir() else set()
    if path.is_file() or not names <= {"song.json", "items", "tokens", "log.jsonl", *also}:
        raise InputError(f"{path} is there already and is not a run", "choose another --out")


def refuse_other(run: Run, config: RunConfig, asked: Asked, items: Sequence[int] = ()) -> None:
    """InputError for a folder that holds anything but the run of this very request."""
    if not run.exists:
        refuse_foreign(run.path, "run.yaml")
    if changed := differences(run, config, asked, items):
        hint = "choose another folder with --out, or ask for the same as before"
        raise InputError(f"{run.path} is a run with another {', '.join(changed)}", hint)


def differences(run: Run, config: RunConfig, asked: Asked, items: Sequence[int] = ()) -> list[str]:
    """In what a run that is there differs from a request; nothing for one that is not there.

    `items` are those that have a length and a song of their own; they count where the run has begun
    them, since other tasks of a job array may have made the run.
    """
    if not run.exists:
        return []
    was, begun = run.asked(), sorted({*items} & {*run.items()})

    def lengths(each: Asked) -> list[int]:
        return [each.samples, *(each.of(item)[0] for item in begun)]

    def songs(each: Asked) -> list[Mapping[str, Any]]:
        return [each.song, *(each.of(item)[1] for item in begun)]

    pairs = {
        "model": (run.config.fingerprint, config.fingerprint),
        "seed": (run.config.seed, config.seed),
        "hop": (run.config.hop, config.hop),
        "sampling": (run.config.sampling, config.sampling),
        "audio": (run.config.audio, config.audio),
        "length": (lengths(was), lengths(asked)),
        "song": (songs(was), songs(asked)),
    }
    return [what for what, (there, here) in pairs.items() if there != here]


def _free(path: Path, config: RunConfig, asked: Asked) -> Run:
    """The first of path, path-2, path-3 ... that is free or holds this very request."""
    for number in itertools.count(1):
        run = Run(path if number == 1 else path.with_name(f"{path.name}-{number}"))
        if (run.exists and not differences(run, config, asked)) or not run.path.exists():
            return run
    raise AssertionError("there is always a free number")
