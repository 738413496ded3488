"""Option groups: command parameters that stand for several options.

A command that takes a frozen dataclass has an option for each of its fields, and receives them as
one object; `PluginOptions` stands for the options that plugins declare. typer reads a function's
signature, so the signature is expanded.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any

import typer
from typer.models import ParameterInfo

from jukebox_cli.cli.completion import complete_condition
from jukebox_cli.registry import Registry

Command = Callable[..., Any]


@dataclass(frozen=True)
class PluginOptions:
    """Values of the options that plugins declare, by field name. Options not used are left out."""

    conditions: Mapping[str, Any]
    sampler_options: Mapping[str, Any]


@dataclass(frozen=True)
class _Group:
    """The parameters that replace one parameter, and how its value is built from theirs."""

    parameters: list[inspect.Parameter]
    build: Callable[[dict[str, Any]], Any]


def with_option_groups(registry: Registry) -> Callable[[Command], Command]:
    """Decorator for a command: expands its parameters that are option groups.

    `registry` has the plugins whose options `PluginOptions` stands for.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        groups = {
            name: _group(parameter.annotation, registry)
            for name, parameter in signature.parameters.items()
            if isinstance(parameter.annotation, type) and is_dataclass(parameter.annotation)
        }

        @wraps(command)
        def run(**values: Any) -> Any:
            for name, group in groups.items():
                values[name] = group.build({p.name: values.pop(p.name) for p in group.parameters})
            return command(**values)

        parameters = _expand(signature, groups)
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _expand(signature: inspect.Signature, groups: Mapping[str, _Group]) -> list[inspect.Parameter]:
    """Parameters with groups replaced by theirs; all by keyword, so that any order is valid."""
    expanded: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name in groups:
            expanded += groups[name].parameters
        else:
            expanded.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    return expanded


def _group(declared: type, registry: Registry) -> _Group:
    if declared is PluginOptions:
        return _plugin_group(registry)
    return _Group(_parameters(declared), lambda values: declared(**values))


def _plugin_group(registry: Registry) -> _Group:
    conditions = [
        parameter
        for name, conditioner in registry.conditioners.items()
        for parameter in _parameters(conditioner.Input, f"Condition: {name}")
    ]
    samplers = [p for each in registry.samplers.values() for p in _parameters(each, "Sampling")]

    def build(values: dict[str, Any]) -> PluginOptions:
        chosen = {name: value for name, value in values.items() if value is not None}
        song = {p.name: chosen.pop(p.name) for p in conditions if p.name in chosen}
        return PluginOptions(song, chosen)

    return _Group([*conditions, *samplers], build)


def _parameters(declared: type, panel: str | None = None) -> list[inspect.Parameter]:
    """A parameter for each field of a dataclass. Its annotation has an option or a help text."""
    hints = typing.get_type_hints(declared, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=_annotation(field.name, hints[field.name], panel),
        )
        for field in fields(declared)
    ]


def _annotation(name: str, hint: Any, panel: str | None) -> Any:
    kind, *notes = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    if any(isinstance(note, ParameterInfo) for note in notes):
        return hint
    text = next((note for note in notes if isinstance(note, str)), "")
    option = typer.Option(
        help=text,
        rich_help_panel=panel,
        show_default=False,
        autocompletion=complete_condition(name),
    )
    return Annotated[kind, option]
