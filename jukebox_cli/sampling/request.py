"""Presets and options of the command line -> a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from jukebox_cli.audio.manifest import read_conditions
from jukebox_cli.config.presets import find_preset
from jukebox_cli.config.schema import ModelConfig, Options, SamplingConfig, SongPreset
from jukebox_cli.config.yaml_files import load_config, origin_of
from jukebox_cli.interfaces.command_options import option_flag
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.items import select_items
from jukebox_cli.storage.model import DEFAULT_MODEL
from jukebox_cli.storage.segments import MAX_SEED

DEFAULT_SECONDS = 20.0
DEFAULT_HOP_FRACTION = 0.5
MAX_SECONDS = 1_000_000


@dataclass(frozen=True)
class Request:
    """What a person asked for. An option wins over the preset, and the preset over the model."""

    model: str  # name or folder
    seconds: float
    items: tuple[int, ...]
    seed: int
    song: Mapping[str, Any]  # the values of every conditioner
    hop_fraction: tuple[float, ...] = ()  # the preset's, level 0 first
    sampling: tuple[Options, ...] = ()  # the preset's options of the samplers, level 0 first
    sampler_options: Mapping[str, Any] = field(default_factory=dict)  # of the command, all levels


@dataclass(frozen=True)
class PresetFile:
    """A preset, and where each of its values comes from; an empty one if there is no file."""

    preset: SongPreset = field(default_factory=SongPreset)
    folder: Path = Path()  # what its paths are relative to
    #: the place of a key, such as `my.yaml:3`; None without a file
    origin: Callable[..., str] | None = None

    def name_of(self, option: str, value: object) -> str:
        """What to call an option in an error: `--seconds`, or `seconds in my.yaml:3` if the option
        was not given and the value is the preset's."""
        if self.origin is None or value is not None:
            return f"--{option}"
        return f"{option} in {self.origin(option)}"

    def with_origin(self, error: InputError, *place: int | str) -> InputError:
        """The same error, with the line of the preset, or the --set, that the value comes from."""
        if self.origin is None:
            return error
        return InputError(f"{self.origin(*place)}: {error.message}", error.hint)


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
    """The request of a preset, `key=value` overrides of it, and options, which win over both.

    Raises InputError for anything that can't be asked for.
    """
    source = _load_preset(preset, overrides)
    values = source.preset
    _validate_sampling(registry, values.sampling, source)
    return Request(
        model=model or values.model or DEFAULT_MODEL,
        seconds=_seconds(source, seconds),
        items=select_items(
            _first_not_none(items, values.items, 1), only, where=source.name_of("items", items)
        ),
        seed=validate_seed(_first_not_none(seed, values.seed, 0), source.name_of("seed", seed)),
        song=_merge_conditions(registry, source, conditions),
        hop_fraction=values.sampling.hop_fraction,
        sampling=values.sampling.options,
        sampler_options=sampler_options,
    )


def _seconds(source: PresetFile, option: float | None) -> float:
    seconds = _first_not_none(option, source.preset.seconds, DEFAULT_SECONDS)
    return require_positive(source.name_of("seconds", option), seconds)


def _load_preset(name: str | None, overrides: Sequence[str]) -> PresetFile:
    if name is None:
        if overrides:
            raise InputError("--set changes a preset, and none is given", "add --preset NAME")
        return PresetFile()
    path = find_preset(name)
    preset = load_config(SongPreset, path, overrides)
    return PresetFile(preset, path.parent, partial(origin_of, path, overrides))


def _validate_sampling(registry: Registry, sampling: SamplingConfig, source: PresetFile) -> None:
    """Raises InputError, naming the line of the preset, for sampling options that can't be."""
    for level, options in enumerate(sampling.options):
        try:
            registry.make_samplers(options)
        except InputError as error:
            raise source.with_origin(error, "sampling", "options", level) from None
    for level, fraction in enumerate(sampling.hop_fraction):
        try:
            _validate_hop_fraction(level, fraction)
        except InputError as error:
            raise source.with_origin(error, "sampling", "hop_fraction", level) from None


def _merge_conditions(
    registry: Registry, source: PresetFile, options: Mapping[str, Any]
) -> dict[str, Any]:
    """The conditions of the preset and of options. Paths of the preset are relative to its folder,
    those of options to the working folder.

    Each is read alone. If that fails, a conditioner that has values of both reads them together:
    some values are only valid together. An empty option is that of a script whose variable is not
    set: it must not take away what the preset has.
    """
    for empty in empty_options(options, source.preset.song):
        hint = f"leave it out; --set song.{empty}=null makes the song without it"
        raise InputError(f"{option_flag(empty)} is empty, but the preset has one", hint)
    kept = {key: value for key, value in source.preset.song.items() if key not in options}
    try:
        return _read(registry, kept, source.folder) | _read(registry, options, Path())
    except InputError as error:
        shared, rest = _split_shared(registry, kept, options)
        together = kept | {key: _absolute_if_file(value) for key, value in shared.items()}
        try:
            return _read(registry, together, source.folder) | _read(registry, rest, Path())
        except InputError:
            key = _faulty_key(registry, kept, source.folder, error)
            raise source.with_origin(error, "song", key) if key else error from None


def empty_options(options: Mapping[str, Any], song: Mapping[str, Any]) -> list[str]:
    """The options that are empty texts where a song has a value."""
    empty = [key for key, value in options.items() if isinstance(value, str) and not value.strip()]
    return [key for key in empty if song.get(key)]


def _read(registry: Registry, values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return dict(read_conditions(registry, values, folder))


def _faulty_key(
    registry: Registry, values: Mapping[str, Any], folder: Path, error: InputError
) -> str | None:
    """The key of a preset that causes an error by itself."""
    for key, value in values.items():
        try:
            read_conditions(registry, {key: value}, folder)
        except InputError as alone:
            if alone.message == error.message:
                return key
    return None


def _split_shared(
    registry: Registry, kept: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of conditioners that have values in the preset too, and the other options."""
    fields_of = [{f.name for f in fields(kind.Input)} for kind in registry.conditioners.values()]
    common = {key for names in fields_of if names & set(kept) for key in names}
    shared = {key: value for key, value in options.items() if key in common}
    return shared, {key: value for key, value in options.items() if key not in shared}


def _absolute_if_file(value: Any) -> Any:
    """The absolute path, if a value is the path of a file; else the value."""
    is_file = isinstance(value, str) and "\n" not in value and Path(value).is_file()
    return str(Path(value).resolve()) if is_file else value


def _first_not_none(*values: Any) -> Any:
    return next(value for value in values if value is not None)


def require_positive(name: str, seconds: float) -> float:
    """`seconds`. Raises InputError, naming the option, if it is not more than 0 or too large."""
    if not 0 < seconds < MAX_SECONDS:
        bounds = f"more than 0 and less than {MAX_SECONDS:,}"
        raise InputError(f"{name} must be {bounds}, not {seconds:g}", "try 20")
    return seconds


def validate_seed(seed: int, name: str = "--seed") -> int:
    """`seed`. Raises InputError, naming the option, if it is not from 0 to 2^63 - 1."""
    if not 0 <= seed < MAX_SEED:
        raise InputError(f"{name} must be from 0 to 2^63 - 1, not {seed}", "try 1")
    return seed


def resolve_sampling(
    config: ModelConfig, registry: Registry, request: Request
) -> tuple[tuple[float, ...], tuple[Options, ...]]:
    """Hop fraction and options of the samplers per level, of the request or else of the model.

    Raises InputError for values that can't be.
    """
    hop_fractions, options = [], []
    for level in range(config.vqvae.num_levels):
        default = _at(config.sampling.hop_fraction, level, DEFAULT_HOP_FRACTION)
        fraction = _at(request.hop_fraction, level, default)
        _validate_hop_fraction(level, fraction)
        hop_fractions.append(fraction)
        base = _at(request.sampling, level, _at(config.sampling.options, level, {}))
        merged = {**base, **request.sampler_options}
        registry.make_samplers(merged, partial(_option_name, request, level))
        options.append(merged)
    return tuple(hop_fractions), tuple(options)


def _option_name(request: Request, level: int, name: str) -> str:
    """What to call a sampling option in an error: `--top-p`, or its key if it was not given."""
    if name in request.sampler_options:
        return option_flag(name)
    owner = "" if level < len(request.sampling) else "the model's "
    return f"{owner}sampling.options.{level}.{name}"


def _validate_hop_fraction(level: int, fraction: float) -> None:
    if not 0 < fraction <= 1:
        what = f"the hop_fraction of level {level} must be more than 0 and at most 1"
        raise InputError(f"{what}, not {fraction:g}", "try 0.5")


def _at(values: Sequence[Any], level: int, default: Any) -> Any:
    return values[level] if level < len(values) else default
