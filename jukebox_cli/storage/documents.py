"""Reading the YAML and JSON files that jukebox writes.

They begin with a checksum of themselves (`storage.checksums`). A person may edit such a file: where
the checksum is null, it is read as it is. One that is missing was lost with other parts of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jukebox_cli.config.schema import FORMAT, FormatError
from jukebox_cli.config.yaml_files import dump_yaml, parse_yaml, read_text, validate_config
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.checksums import PLACEHOLDER, require_intact, seal_text

if TYPE_CHECKING:
    from pydantic import ValidationError

T = TypeVar("T")

RESTORE_HINT = "restore it from a copy, or make it again"
EDITED_HINT = "restore it from a copy; or, if you changed it yourself, make its 'checksum' null"

#: Mappings and lists within each other.
MAX_DEPTH = 64


def config_text(config: object) -> str:
    """The content of a YAML file of a config, with its checksum."""
    return seal_text(f"checksum: '{PLACEHOLDER}'\n{dump_yaml(config)}")


def json_text(data: Mapping[str, Any], **options: Any) -> str:
    """The content of a JSON file of a mapping, with its checksum. `options`: of `json.dumps`."""
    whole = {"checksum": PLACEHOLDER, **data}
    return seal_text(json.dumps(whole, ensure_ascii=False, **options) + "\n")


def load_own_config(kind: type[T], path: Path, keys: Sequence[str]) -> T:
    """The config in a YAML file that this program wrote.

    Raises InputError for a file that is damaged, such as empty or without one of `keys`, of another
    format, or with unknown keys or bad values.
    """
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path} is damaged: it is empty", RESTORE_HINT)
    data = parse_yaml(text, path, RESTORE_HINT)
    require_format(data.get("format", FORMAT), path)
    has_checksum = "checksum" in data
    _require_unchanged(data, text, path)
    config = validate_config(kind, data, path)
    if missing := [key for key in keys if key not in data]:
        raise InputError(f"{path} is damaged: it has no '{missing[0]}'", RESTORE_HINT)
    if not has_checksum:
        raise InputError(f"{path} is damaged: it has no 'checksum'", EDITED_HINT)
    return config


def read_own_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file that this program wrote, without `format` and `checksum`.

    Raises InputError if the file is missing, damaged or of another format.
    """
    return parse_own_json(read_text(path), path)


def parse_own_json(text: str, path: Path) -> dict[str, Any]:
    """As `read_own_json`, from the text of the file."""
    data = parse_json(text, path)
    require_format(data.pop("format", None), path)
    if "checksum" not in data:
        raise InputError(f"{path} is damaged: it has no 'checksum'", EDITED_HINT)
    _require_unchanged(data, text, path)
    return data


def _require_unchanged(data: dict[str, Any], text: str, path: Path) -> None:
    """Raises InputError if the checksum in a file's mapping is that of another text. Removes it."""
    if (checksum := data.pop("checksum", None)) is None:
        return
    try:
        require_intact(text.encode(), checksum)
    except ValueError as error:
        raise InputError(f"{path} was changed or is damaged: {error}", EDITED_HINT) from None


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file. Raises InputError if the file is missing or damaged."""
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path) -> dict[str, Any]:
    """The mapping in the text of the JSON file `path`. Raises InputError if it is damaged."""
    try:
        data = parse_json_value(text)
    except json.JSONDecodeError as error:
        message = f"{path}:{error.lineno}: damaged: {error.msg}"
        raise InputError(message, RESTORE_HINT) from None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", RESTORE_HINT) from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: damaged: not a mapping", "restore it from a copy")
    return data


def parse_json_value(text: str) -> Any:
    """The value of a JSON text. Raises ValueError if there is none, or one that can't be used: too
    deep, a key that occurs twice in a mapping, a number that is not finite."""
    try:
        data = json.loads(
            text, object_pairs_hook=_mapping, parse_float=_finite, parse_constant=_finite
        )
    except RecursionError:
        raise ValueError(f"more than {MAX_DEPTH} lists within each other") from None
    _require_shallow(data)
    return data


def json_problem(error: ValueError) -> str:
    """What is wrong with a text that `parse_json_value` refuses."""
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"'{twice}' occurs twice")
    return data


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"{text} is no finite number")
    return number


def _require_shallow(data: Any) -> None:
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            value
            for each in level
            if isinstance(each, (dict, list))
            for value in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return
    raise ValueError(f"more than {MAX_DEPTH} lists within each other")


def validation_problem(error: ValidationError) -> str:
    """What pydantic found first, with its place."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}"


def require_format(found: object, path: Path) -> None:
    """Raises InputError if `found`, the format that `path` names, is not the one written here."""
    text = str(found)
    if not text.isdecimal() or len(text) > 9:
        raise InputError(f"{path} names no format", RESTORE_HINT)
    if int(text) != FORMAT:
        error = FormatError(int(text))
        raise InputError(f"{path}: {error}", error.hint)


@contextmanager
def corruption_errors(path: Path) -> Iterator[None]:
    """Raises InputError for errors that a damaged file causes where its content is used."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{path} is damaged: {type(error).__name__}: {error}"
        raise InputError(message, RESTORE_HINT) from None


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl file, without a last line that was cut off while it was written.

    Raises InputError for any other line that is no JSON mapping.
    """
    return [row for _, row in read_jsonl_lines(path)]


def read_jsonl_lines(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """As `read_jsonl`, each row after the text of its line."""
    lines = read_text(path).split("\n")
    rows = []
    for number, line in enumerate(lines, 1):
        is_last = number == len(lines)
        if is_last and not line:
            break
        try:
            row = parse_json_value(line)
            if not isinstance(row, dict):
                raise ValueError("not a mapping")
        except ValueError as error:
            if is_last:
                break
            what = f"{path}:{number}: bad JSON: {json_problem(error)}"
            raise InputError(what, "correct that line") from None
        rows.append((line, row))
    return rows


def last_jsonl_line(path: Path) -> str | None:
    """The last line of a .jsonl file whose last line is complete, without reading the others."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        start = text.rfind(b"\n", 0, len(text) - 1) + 1
        return text[start:].decode()
