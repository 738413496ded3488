"""What a person asks for, as presets and flags say it -> a run that can be worked on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_cli import __version__
from jukebox_cli.config import Knobs, ModelConfig, SongPreset, find_preset, load
from jukebox_cli.folders import Asked, Model, Run, RunConfig, Tokens, find_model
from jukebox_cli.plugin import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.songs import read_song
from jukebox_cli.stages import Job

DEFAULT_MODEL = "mini"
DEFAULT_SECONDS = 20.0
DEFAULT_HOP = 0.5


@dataclass(frozen=True)
class Request:
    """Preset and flags, joined: a flag wins over the preset, the preset over the model."""

    model: str
    seconds: float
    items: tuple[int, ...]
    seed: int
    given: Mapping[str, Any]  # conditions, by flag name
    folder: Path  # what paths among them are relative to
    hop: tuple[float, ...] = ()
    sampling: tuple[Knobs, ...] = ()
    knobs: Mapping[str, Any] = field(default_factory=dict)


def request(
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
    path = find_preset(preset) if preset else None
    said = load(SongPreset, path, overrides) if path else SongPreset()
    if overrides and not path:
        raise InputError("--set changes a preset, and none is given", "add --preset NAME")
    return Request(
        model=model or said.model or DEFAULT_MODEL,
        seconds=positive("--seconds", _first(seconds, said.seconds, DEFAULT_SECONDS)),
        items=parse_items(_first(items, said.items, 1), count=True),
        seed=check_seed(_first(seed, said.seed, 0)),
        given={**said.song, **given},
        # a preset's own paths are relative to it, those of flags to where the person is
        folder=path.parent if path and not given else Path(),
        hop=said.sampling.hop,
        sampling=said.sampling.knobs,
        knobs=knobs,
    )


def _first(*values: Any) -> Any:
    return next(v for v in values if v is not None)


def positive(flag: str, number: float) -> float:
    if not 0 < number < 1e6:
        raise InputError(f"{flag} must be more than 0, not {number:g}", f"try {flag} 20")
    return number


def check_seed(seed: int) -> int:
    if not 0 <= seed < 2**63:
        raise InputError(f"--seed must be from 0 to 2^63 - 1, not {seed}", "try --seed 1")
    return seed


def parse_items(text: str | int, *, count: bool) -> tuple[int, ...]:
    """`2,5` and `4-7` are those items; `4` is items 0 to 3 when `count`, item 4 when not."""
    words = str(text).replace(" ", "")
    if re.fullmatch(r"\d+", words) and count:
        numbers = list(range(int(words)))
    elif re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*,?", words):
        parts = [part.split("-") for part in words.split(",") if part]
        numbers = [n for part in parts for n in range(int(part[0]), int(part[-1]) + 1)]
    else:
        numbers = []
    if not numbers or len(numbers) > 10_000:
        hint = "write a number, a list 0,2 or a range 4-7"
        raise InputError(f"can't read --items '{text}'", hint)
    return tuple(sorted(set(numbers)))


def sampling_of(
    config: ModelConfig, registry: Registry, want: Request
) -> tuple[tuple[float, ...], tuple[Knobs, ...]]:
    """Hop and sampler knobs of each level; checked."""
    hops, knobs = [], []
    for level in range(config.vqvae.levels):
        hop = _at(want.hop, level, _at(config.sampling.hop, level, DEFAULT_HOP))
        if not 0 < hop <= 1:
            raise InputError(f"the hop of level {level} must be from 0 to 1, not {hop}", "try 0.5")
        theirs = _at(want.sampling, level, _at(config.sampling.knobs, level, {}))
        mine = {**theirs, **want.knobs}
        registry.sampling(mine)
        hops.append(hop)
        knobs.append(mine)
    return tuple(hops), tuple(knobs)


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
    song = read_song(registry, want.given, want.folder)
    asked = Asked(max(1, round(want.seconds * config.sample_rate)), song)
    run = Run(out) if out else _free(Path("runs") / name, config, asked)
    if changed := differences(run, config, asked):
        hint = "choose another folder with --out, or ask for the same as before"
        raise InputError(f"{run.path} is a run with another {', '.join(changed)}", hint)
    return Job(run, model, registry, want.items, config, asked)


def reopen(path: Path, registry: Registry, items: str | None, model: str | None = None) -> Job:
    """The job of a run that is there. `model` says where its model is now."""
    run = Run(path)
    config = run.config
    found = find_model(model or config.model)
    if found.fingerprint() != config.fingerprint:
        raise InputError(
            f"{path} is a run of another model than '{found.name}'",
            "name the folder of the model it was made with: --model",
        )
    there = run.items()
    chosen = parse_items(items, count=False) if items else tuple(there)
    if missing := [i for i in chosen if i not in there]:
        known = f"it has {', '.join(map(str, there)) or 'none'}"
        raise InputError(f"{path} has no item {missing[0]}", known)
    return Job(run, found, registry, chosen, config, run.asked())


def begin(job: Job) -> None:
    """Puts a new run on disk: its settings, its song, and an empty file for every item."""
    path = job.run.path
    if not job.run.exists:
        refuse_foreign(path)
        job.run.write_asked(job.asked)
        job.run.write_config(job.config)
    for item in job.items:
        if job.run.read_tokens(job.top, item) is None:
            nothing = Tokens(np.zeros(0, np.int64), 0)
            job.run.write_tokens(job.top, item, nothing, job.model.config.vqvae)


def refuse_foreign(path: Path) -> None:
    """InputError for a folder with other things in it, so that nothing is mixed up.

    What a run that was stopped in its first moments leaves behind is not in the way.
    """
    names = {p.name for p in path.iterdir()} if path.is_dir() else set()
    if path.is_file() or not names <= {"song.json", "tokens", "log.jsonl"}:
        raise InputError(f"{path} is there already and is not a run", "choose another --out")


def differences(run: Run, config: RunConfig, asked: Asked) -> list[str]:
    """In what a run that is there differs from a request; nothing for one that is not there."""
    if not run.exists:
        return []
    was = run.asked()
    pairs = {
        "model": (run.config.fingerprint, config.fingerprint),
        "seed": (run.config.seed, config.seed),
        "hop": (run.config.hop, config.hop),
        "sampling": (run.config.sampling, config.sampling),
        "length": (was.samples, asked.samples),
        "song": (was.song, asked.song),
    }
    return [what for what, (there, here) in pairs.items() if there != here]


def _free(path: Path, config: RunConfig, asked: Asked) -> Run:
    """The first of path, path-2, path-3 ... that is free or holds this very request."""
    for number in itertools.count(1):
        run = Run(path if number == 1 else path.with_name(f"{path.name}-{number}"))
        if (run.exists and not differences(run, config, asked)) or not run.path.exists():
            return run
    raise AssertionError("there is always a free number")
