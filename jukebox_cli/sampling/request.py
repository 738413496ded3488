"""What a person asks for, as presets and flags say it -> a run that can be worked on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from jukebox_cli.audio.manifest import read_song
from jukebox_cli.config.presets import find_preset
from jukebox_cli.config.schema import Knobs, ModelConfig, SongPreset
from jukebox_cli.config.yaml_files import load, said_at
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.items import parse_items

DEFAULT_MODEL = "mini"


DEFAULT_SECONDS = 20.0


DEFAULT_HOP = 0.5


MOST_SECONDS = 1_000_000


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
