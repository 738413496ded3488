"""YAML files as config dataclasses. An error names the file, the line and the key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from jukebox_cli.config.schema import (
    FORMAT,
    FormatError,
    ModelConfig,
    PriorConfig,
    SamplingConfig,
    SongPreset,
    UpsamplerConditionerConfig,
    VQVAEConfig,
)
from jukebox_cli.config.suggest import unknown_name
from jukebox_cli.config.value_errors import VALUE_HINT, plain_message
from jukebox_cli.interfaces.errors import InputError, read_error

T = TypeVar("T")

#: Two numbers, as of items that are to be chosen, which no key takes.
RANGE = re.compile(r"\d+-\d+")
YAML_HINT = "check the indentation and the quotes around that line"

#: Bounds of YAML files, which people write: larger ones would take long to read.
MAX_YAML_CHARACTERS = 100_000
MAX_YAML_NODES = 100_000
MAX_YAML_DEPTH = 32
TOO_DEEP = f"more than {MAX_YAML_DEPTH} lists within each other"

#: The config that a key holds, at any depth.
_CONFIGS_BY_KEY: Mapping[str, type] = {
    "vqvae": VQVAEConfig,
    "priors": PriorConfig,
    "upsampler_conditioner": UpsamplerConditionerConfig,
    "sampling": SamplingConfig,
}


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that occurs twice in a mapping, of which plain YAML keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                problem = f"'{key.value}' occurs twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, hint: str = "see `jukebox preset show rock`") -> dict[str, Any]:
    """The mapping in a YAML file. Raises InputError as `parse_yaml` does."""
    return parse_yaml(read_text(path), path, hint)


def parse_yaml(text: str, path: Path, hint: str) -> dict[str, Any]:
    """The mapping in the text of the YAML file `path`. Raises InputError with the line of a
    mistake, and with `hint` for a text that holds something else."""
    if len(text) > MAX_YAML_CHARACTERS:
        what = f"{path} is too large: {len(text):,} characters, of at most {MAX_YAML_CHARACTERS:,}"
        raise InputError(what, "check the path")
    try:
        data = _load_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: bad YAML: {error.problem}", YAML_HINT) from None
    except RecursionError:
        raise InputError(f"{path}: bad YAML: {TOO_DEEP}", YAML_HINT) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # control characters; 2020-99-99; ? []
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: bad YAML: {reason}", YAML_HINT) from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected 'key: value' lines", hint)
    return data


def _load_yaml(text: str) -> Any:
    """The value of a YAML text. Raises YAMLError also for one that would be too large or deep once
    its aliases are followed."""
    loader = _UniqueKeyLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _measure(node, {}, 0)[0] > MAX_YAML_NODES:
            raise yaml.constructor.ConstructorError(None, None, "too many aliases", node.start_mark)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _measure(node: yaml.Node, known: dict[int, tuple[int, int]], depth: int) -> tuple[int, int]:
    """How many nodes there are once aliases are followed, and how many within each other. Raises
    YAMLError if they lead in a circle or too deep."""
    if isinstance(node, yaml.ScalarNode):
        return 1, 1
    if id(node) not in known:
        pairs = isinstance(node, yaml.MappingNode)
        children = [n for pair in node.value for n in pair] if pairs else node.value
        found = []
        if depth < MAX_YAML_DEPTH:  # an alias of what it is in would go on for ever
            found = [_measure(each, known, depth + 1) for each in children]
        height = 1 + max((height for _, height in found), default=0)
        if max(depth, height) >= MAX_YAML_DEPTH:
            raise yaml.constructor.ConstructorError(None, None, TOO_DEEP, node.start_mark)
        known[id(node)] = (1 + sum(count for count, _ in found), height)
    return known[id(node)]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises InputError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"no file {path}", "check the path") from None
    except NotADirectoryError:
        raise InputError(f"no file {path}: part of that path is a file", "check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file", "save it as UTF-8") from None
    except OSError as error:
        raise read_error(path, error) from None


def load_config(kind: type[T], path: Path, overrides: Sequence[str] = ()) -> T:
    """A config of class `kind` from a YAML file, with `key.key=value` overrides applied.

    Raises InputError for a file that cannot be read, of another format, or with unknown keys or bad
    values.
    """
    data = read_yaml(path)
    _require_kind(kind, data, path)
    if kind is ModelConfig:
        data.pop("checksum", None)  # of a model's config.yaml that serves as a preset
    for override in overrides:
        apply_override(data, override)
    _require_format(data, path, overrides)
    names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    values = {key: value for key, value in data.items() if value is not None or key not in names}
    return validate_config(kind, values, path, overrides)


def _require_kind(kind: type, data: Mapping[str, Any], path: Path) -> None:
    """InputError for a training preset where a song is needed, and the other way round."""
    if kind is SongPreset and "vqvae" in data:
        hint = "train a model with it: `jukebox train vqvae --preset`, or choose another preset"
        raise InputError(f"{path} is a training preset, not a song", hint)
    if kind is ModelConfig and "song" in data:
        hint = "use it with `jukebox generate --preset`, or choose another, such as mini-recipe"
        raise InputError(f"{path} is a song, not a training preset", hint)


def _require_format(data: Mapping[str, Any], path: Path, overrides: Sequence[str]) -> None:
    """InputError for a file of another format, before its keys are read as those of this one."""
    number = data.get("format", FORMAT)
    if isinstance(number, int) and number != FORMAT:
        error = FormatError(number)
        raise InputError(f"{origin_of(path, overrides, 'format')}: {error}", error.hint)


def validate_config(
    kind: type[T], data: Mapping[str, Any], path: Path, overrides: Sequence[str] = ()
) -> T:
    """A config from a mapping, checked against the fields of its class.

    An error names the override, or else the line of `path`, that a bad value came from.
    """
    from pydantic import TypeAdapter, ValidationError

    for key, value in data.items():
        if isinstance(value, str) and RANGE.fullmatch(value):  # pydantic reads 0-1 as -1
            where = origin_of(path, overrides, key)
            raise InputError(f"{where}: {key}: must be a number, not '{value}'", VALUE_HINT)
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
        known = [".".join(map(str, (*place[:-1], n))) for n in _keys_at(kind, place[:-1])]
        return unknown_name("key", keys, known, f" in {where}")
    message, hint = plain_message(message)
    return InputError(f"{where}: {keys + ': ' if keys else ''}{message}", hint)


def _keys_at(kind: type, place: Sequence[int | str]) -> list[str]:
    """The keys that a config allows at a place such as ('priors', 0)."""
    names = [p for p in place if isinstance(p, str)]
    return [f.name for f in fields(_CONFIGS_BY_KEY.get(names[-1], kind) if names else kind)]


def origin_of(path: Path, overrides: Sequence[str], *place: int | str) -> str:
    """Where the value at a place comes from: `--set 'key=value'`, or `my.yaml:3`."""
    for override in reversed(overrides):
        keys = override.partition("=")[0].split(".")
        if keys == [str(p) for p in place[: len(keys)]]:
            return f"--set '{override}'"
    return location_of(path, *place)


def location_of(path: Path, *place: int | str) -> str:
    """`my.yaml:3`, the line of a key in a YAML file; the file alone if it has no such key."""
    line = _line_of(path, place)
    return f"{path}:{line}" if line else str(path)


def _line_of(path: Path, place: Sequence[int | str]) -> int | None:
    """The line of a YAML file at a place such as ('priors', 0, 'width')."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
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


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set a value in nested mappings and lists: `priors.0.width=64`. The value is YAML.

    Raises InputError if the override cannot be read or its place does not exist.
    """
    keys, sign, text = override.partition("=")
    if not sign:
        raise InputError(f"can't read --set '{override}'", "write it as key=value")
    *parents, last = keys.split(".")
    parent: Any = data
    try:
        for key in parents:
            is_list = isinstance(parent, list)
            parent = parent[int(key)] if is_list else parent.setdefault(key, {})
        parent[int(last) if isinstance(parent, list) else last] = yaml.safe_load(text)
    except (ValueError, IndexError, TypeError, AttributeError):
        hint = "see `jukebox preset show`"
        raise InputError(f"--set '{override}': no such place in the preset", hint) from None
    except yaml.YAMLError:
        raise InputError(f"--set '{override}': bad YAML after '='", YAML_HINT) from None


def dump_yaml(config: object) -> str:
    """A config dataclass as YAML, which `load_config` reads back."""
    return yaml.safe_dump(_to_plain(asdict(config)), sort_keys=False, width=100)  # type: ignore[call-overload]


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _to_plain(v) for k, v in value.items()}
    return [_to_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
