"""What a person asks for, as presets and flags say it -> a run that can be worked on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from jukebox_cli.audio.manifest import read_conditions
from jukebox_cli.config.presets import find_preset
from jukebox_cli.config.schema import ModelConfig, Options, SongPreset
from jukebox_cli.config.yaml_files import load_config, origin_of
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.items import select_items
from jukebox_cli.storage.model import DEFAULT_MODEL

DEFAULT_SECONDS = 20.0


DEFAULT_HOP_FRACTION = 0.5


MAX_SECONDS = 1_000_000


#: Who says what is at a place of a preset.
OriginOf = Callable[..., str]


@dataclass(frozen=True)
class Request:
    """Preset and flags, joined: a flag wins over the preset, the preset over the model."""

    model: str
    seconds: float
    items: tuple[int, ...]
    seed: int
    song: Mapping[str, Any]  # the values of every conditioner
    hop_fraction: tuple[float, ...] = ()
    sampling: tuple[Options, ...] = ()
    sampler_options: Mapping[str, Any] = field(default_factory=dict)


def build_request(
    registry: Registry,
    preset: str | None,
    overrides: Sequence[str],
    *,
    model: str | None = None,
    seconds: float | None = None,
    items: int | None = None,
    only: str | None = None,
    seed: int | None = None,
    conditions: Mapping[str, Any],
    sampler_options: Mapping[str, Any],
) -> Request:
    """Reads the preset and lays the flags over it."""
    path = find_preset(preset) if preset is not None else None
    said = load_config(SongPreset, path, overrides) if path else SongPreset()
    if overrides and not path:
        raise InputError("--set changes a preset, and none is given", "add --preset NAME")

    says = partial(origin_of, path, overrides) if path else None

    def where(key: str, flag: object) -> str:
        return f"--{key}" if says is None or flag is not None else f"{key} in {says(key)}"

    for level, each in enumerate(said.sampling.options):
        try:
            registry.make_samplers(each)
        except InputError as error:
            raise _with_origin(error, says, "sampling", "options", level) from None
    for level, hop in enumerate(said.sampling.hop_fraction):
        try:
            _validate_hop_fraction(level, hop)
        except InputError as error:
            raise _with_origin(error, says, "sampling", "hop_fraction", level) from None
    return Request(
        model=model or said.model or DEFAULT_MODEL,
        seconds=require_positive(
            where("seconds", seconds), _first_given(seconds, said.seconds, DEFAULT_SECONDS)
        ),
        items=select_items(_first_given(items, said.items, 1), only, where=where("items", items)),
        seed=validate_seed(_first_given(seed, said.seed, 0), where("seed", seed)),
        song=_merge_conditions(registry, said, path.parent if path else Path(), says, conditions),
        hop_fraction=said.sampling.hop_fraction,
        sampling=said.sampling.options,
        sampler_options=sampler_options,
    )


def _merge_conditions(
    registry: Registry,
    said: SongPreset,
    there: Path,
    says: OriginOf | None,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    """What preset and flags say; a preset's own paths are relative to where it is, `there`, those
    of flags to where the person is. A conditioner that can't be told a part by each is told both
    together."""
    kept = {key: value for key, value in said.song.items() if key not in given}
    try:
        return {
            **read_conditions(registry, kept, there),
            **read_conditions(registry, given, Path()),
        }
    except InputError as apart:
        shared, rest = _split_shared(registry, kept, given)
        try:
            both = {**kept, **{key: _absolute_if_file(value) for key, value in shared.items()}}
            return {
                **read_conditions(registry, both, there),
                **read_conditions(registry, rest, Path()),
            }
        except InputError:
            key = _faulty_key(registry, kept, there, apart)
            raise _with_origin(apart, says, "song", key) if key else apart from None


def _faulty_key(
    registry: Registry, said: Mapping[str, Any], folder: Path, error: InputError
) -> str | None:
    """Which of the things that a preset says is wrong alone, too."""
    for key, value in said.items():
        try:
            read_conditions(registry, {key: value}, folder)
        except InputError as alone:
            if alone.message == error.message:
                return key
    return None


def _with_origin(error: InputError, says: OriginOf | None, *place: int | str) -> InputError:
    """The same error with the line of the preset, or the --set, that it comes from."""
    return InputError(f"{says(*place)}: {error.message}", error.hint) if says else error


def _split_shared(
    registry: Registry, kept: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is given to conditioners that a preset says something of too, and the rest."""
    fields_of = [{f.name for f in fields(kind.Input)} for kind in registry.conditioners.values()]
    common = {key for names in fields_of if names & set(kept) for key in names}
    shared = {key: value for key, value in given.items() if key in common}
    return shared, {key: value for key, value in given.items() if key not in shared}


def _absolute_if_file(value: Any) -> Any:
    """A path from where the person is, if it is one, so that it is found from elsewhere too."""
    is_file = isinstance(value, str) and "\n" not in value and Path(value).is_file()
    return str(Path(value).resolve()) if is_file else value


def _first_given(*values: Any) -> Any:
    return next(v for v in values if v is not None)


def require_positive(where: str, number: float) -> float:
    if not 0 < number < MAX_SECONDS:
        bounds = f"more than 0 and less than {MAX_SECONDS:,}"
        raise InputError(f"{where} must be {bounds}, not {number:g}", "try 20")
    return number


def validate_seed(seed: int, where: str = "--seed") -> int:
    if not 0 <= seed < 2**63:
        raise InputError(f"{where} must be from 0 to 2^63 - 1, not {seed}", "try 1")
    return seed


def resolve_sampling(
    config: ModelConfig, registry: Registry, want: Request
) -> tuple[tuple[float, ...], tuple[Options, ...]]:
    """Hop and sampler knobs of each level; checked."""
    hops, knobs = [], []
    for level in range(config.vqvae.num_levels):
        hop = _at(
            want.hop_fraction, level, _at(config.sampling.hop_fraction, level, DEFAULT_HOP_FRACTION)
        )
        _validate_hop_fraction(level, hop)
        theirs = _at(want.sampling, level, _at(config.sampling.options, level, {}))
        mine = {**theirs, **want.sampler_options}
        registry.make_samplers(mine)
        hops.append(hop)
        knobs.append(mine)
    return tuple(hops), tuple(knobs)


def _validate_hop_fraction(level: int, hop: float) -> None:
    if not 0 < hop <= 1:
        what = f"the hop of level {level} must be more than 0 and at most 1"
        raise InputError(f"{what}, not {hop:g}", "try 0.5")


def _at(values: Sequence[Any], level: int, default: Any) -> Any:
    return values[level] if level < len(values) else default
