"""Dataclasses of plugins from the values that a person gave: an error names field and value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from jukebox_cli.config.suggest import unknown_name
from jukebox_cli.config.value_errors import plain_message
from jukebox_cli.interfaces.errors import InputError

T = TypeVar("T")


def build_dataclass(
    kind: type[T],
    values: Mapping[str, Any],
    what: str,
    label: Callable[[str], str] | None = None,
    hint: str = "correct that value",
) -> T:
    """A plugin's dataclass from JSON or YAML values, checked against its fields.

    what: names the dataclass in errors, such as `conditioner 'lyrics'`.
    label: names a field in errors, such as `--top-p`; without it `what` and the field do.
    hint: for errors that have no hint of their own.
    Raises InputError for an unknown field and for a bad value.
    """
    from pydantic import TypeAdapter, ValidationError

    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in names:
            raise unknown_name("setting", key, names, f" of {what}")
    label = label or (lambda name: f"{what}: {name}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first: Any = error.errors()[0]
    if not first["loc"]:  # raised by the dataclass itself, in `__post_init__`
        raise _refused(kind, values, first["ctx"]["error"], what, label, hint)
    place = label(".".join(str(p) for p in first["loc"]))
    raise InputError(f"{place}: {plain_message(first['msg'])[0]} (got {first['input']!r})", hint)


def _refused(
    kind: type,
    values: Mapping[str, Any],
    error: Exception,
    what: str,
    label: Callable[[str], str],
    hint: str,
) -> InputError:
    """The InputError for a ValueError(message) or ValueError(message, hint) of `__post_init__`.

    A message such as "must be 0 or more" is completed with the field and its value.
    """
    name, error = _refused_field(kind, values) or (None, error)
    message, own_hint = (*map(str, error.args[:2]), None, None)[:2]
    hint = own_hint or hint
    if name is None:
        return InputError(f"{what}: {message}", hint)
    condition = str(message).removeprefix(f"{name} ")
    if condition.startswith("must "):
        return InputError(f"{label(name)} {condition}, not {_shown(values[name])}", hint)
    if name in str(message):
        return InputError(f"{what}: {message}", hint)
    return InputError(f"{label(name)} {_shown(values[name])}: {message}", hint)


def _refused_field(kind: type, values: Mapping[str, Any]) -> tuple[str, Exception] | None:
    """The first field whose value is refused even if all others have their defaults, and why."""
    from pydantic import TypeAdapter, ValidationError

    for name, value in values.items():
        try:
            TypeAdapter(kind).validate_python({name: value})
        except ValidationError as error:
            return name, error.errors()[0]["ctx"]["error"]
    return None


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
