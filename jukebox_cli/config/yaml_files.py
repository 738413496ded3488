"""What presets and models say, as frozen dataclasses, and how YAML is read into them.

A mistake in a file is reported with the file, the line and the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from jukebox_cli.config.schema import (
    ModelConfig,
    PriorConfig,
    SamplingConfig,
    SongPreset,
    UpsamplerConditionerConfig,
    VQVAEConfig,
)
from jukebox_cli.config.suggest import unknown_name
from jukebox_cli.interfaces.errors import InputError

T = TypeVar("T")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that says no key of a mapping twice; plain YAML keeps the last and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"'{key.value}' is said twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; mistakes are InputErrors with their line."""
    try:
        data = yaml.load(read_text(path), _UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: bad YAML: {error.problem}", _YAML_HINT) from None
    except (yaml.YAMLError, ValueError) as error:  # control characters; a date such as 2020-99-99
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: bad YAML: {reason}", _YAML_HINT) from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected 'key: value' lines", "see `jukebox preset show rock`")
    return data


_YAML_HINT = "check the indentation and the quotes around that line"


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"no file {path}", "check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file", "save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}", "check the path") from None


def load_config(kind: type[T], path: Path, overrides: Sequence[str] = ()) -> T:
    """A config of `kind` from a YAML file, with `key.key=value` overrides applied."""
    data = read_yaml(path)
    _require_kind(kind, data, path)
    for setting in overrides:
        apply_override(data, setting)
    return validate_config(kind, data, path, overrides)


def _require_kind(kind: type, data: Mapping[str, Any], path: Path) -> None:
    """InputError for the shape of a model where a song is wanted, and the other way round."""
    if kind is SongPreset and "vqvae" in data:
        hint = "train one with it: `jukebox train vqvae --preset`, or choose another"
        raise InputError(f"{path} is the shape of a model and no song", hint)
    if kind is ModelConfig and "song" in data:
        hint = "make it with `jukebox generate --preset`, or choose another, such as mini-recipe"
        raise InputError(f"{path} is a song and not the shape of a model", hint)


def validate_config(
    kind: type[T], data: Mapping[str, Any], path: Path, overrides: Sequence[str] = ()
) -> T:
    """Checks a mapping against a config's fields; `path` is the file to blame, but for what the
    overrides say."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_python(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"]
        where = origin_of(path, overrides, *place)
        raise _validation_error(kind, where, place, first["type"], first["msg"]) from None


def _validation_error(
    kind: type, where: str, place: tuple[int | str, ...], problem: str, message: str
) -> InputError:
    keys = ".".join(str(p) for p in place)
    if problem in ("unexpected_keyword_argument", "extra_forbidden"):
        names = _names_at(kind, place[:-1])
        return unknown_name(
            "key", keys, [".".join(map(str, (*place[:-1], n))) for n in names], f" in {where}"
        )
    message = message.removeprefix("Value error, ")
    return InputError(f"{where}: {keys + ': ' if keys else ''}{message}", "correct that value")


def _names_at(kind: type, place: Sequence[int | str]) -> list[str]:
    """The keys a config allows at a place such as ('priors', 0)."""
    parts = {"vqvae": VQVAEConfig, "priors": PriorConfig, "upper": UpsamplerConditionerConfig}
    parts["sampling"] = SamplingConfig
    named = [p for p in place if isinstance(p, str)]
    owner = parts[named[-1]] if named and named[-1] in parts else kind
    return [f.name for f in fields(owner)]


def origin_of(path: Path, overrides: Sequence[str], *place: int | str) -> str:
    """Who says what is at a place: `--set 'key=value'`, or `my.yaml:3`."""
    for setting in reversed(overrides):
        keys = setting.partition("=")[0].split(".")
        if keys == [str(p) for p in place[: len(keys)]]:
            return f"--set '{setting}'"
    return location_of(path, *place)


def location_of(path: Path, *place: int | str) -> str:
    """`my.yaml:3`: where a key stands in a YAML file; the file alone where it has no such key."""
    line = _line_of(path, place)
    return f"{path}:{line}" if line else str(path)


def _line_of(path: Path, place: Sequence[int | str]) -> int | None:
    """The line of a YAML file that a place such as ('priors', 0, 'width') stands on."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return None
    line: int | None = None
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next((kv for kv in node.value if kv[0].value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            found = (node.value[step], node.value[step]) if step < len(node.value) else None
        else:
            found = None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def apply_override(data: dict[str, Any], setting: str) -> None:
    """`priors.0.width=64` into nested mappings and lists; the value is YAML."""
    keys, sign, text = setting.partition("=")
    if not sign:
        raise InputError(f"can't read --set '{setting}'", "write it as key=value")
    *parents, last = keys.split(".")
    here: Any = data
    try:
        for key in parents:
            here = here[int(key)] if isinstance(here, list) else here.setdefault(key, {})
        here[int(last) if isinstance(here, list) else last] = yaml.safe_load(text)
    except (ValueError, IndexError, TypeError, AttributeError):
        raise InputError(f"--set '{setting}' leads nowhere", "see `jukebox preset show`") from None
    except yaml.YAMLError:
        raise InputError(f"--set '{setting}': bad YAML after '='", _YAML_HINT) from None


def dump_yaml(config: object) -> str:
    """A config dataclass as YAML that `load` reads back."""
    return yaml.safe_dump(_to_plain(asdict(config)), sort_keys=False, width=100)  # type: ignore[call-overload]


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _to_plain(v) for k, v in value.items()}
    return [_to_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
