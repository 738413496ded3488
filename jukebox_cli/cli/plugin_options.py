"""Commands grow a flag for every field that plugins declare.

This is the one place that knows how: typer reads a function's signature, so the signature is
extended. A command that takes `said: Said` gets what was said with those flags.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import Annotated, Any

import typer

from jukebox_cli.registry import Registry


@dataclass(frozen=True)
class PluginOptions:
    """What was given with the flags of plugins, by field name."""

    conditions: Mapping[str, Any] = field(default_factory=dict)
    sampler_options: Mapping[str, Any] = field(default_factory=dict)


def with_plugin_options(
    registry: Registry, *, conditions: bool = True, sampler_options: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a command that takes `said: Said`, the last of its parameters."""
    mine = _parameters(registry, conditions, sampler_options)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(**given: Any) -> Any:
            chosen = {name: given.pop(name) for name in mine}
            chosen = {name: value for name, value in chosen.items() if value is not None}
            songs = {n: v for n, v in chosen.items() if mine[n].is_song}
            rest = {n: v for n, v in chosen.items() if not mine[n].is_song}
            return command(**given, said=PluginOptions(songs, rest))

        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.name != "said"]
        added = [flag.parameter for flag in mine.values()]
        run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in [*own, *added]}
        return run

    return decorate


@dataclass(frozen=True)
class _Flag:
    parameter: inspect.Parameter
    is_song: bool


def _parameters(registry: Registry, song: bool, knobs: bool) -> dict[str, _Flag]:
    found: dict[str, _Flag] = {}
    if song:
        for name, conditioner in registry.conditioners.items():
            found |= _flags(conditioner.Input, f"Condition: {name}", True)
    if knobs:
        for sampler in registry.samplers.values():
            found |= _flags(sampler, "Sampling", False)
    return found


def _flags(declared: type, panel: str, is_song: bool) -> dict[str, _Flag]:
    hints = typing.get_type_hints(declared, include_extras=True)
    return {
        f.name: _Flag(_parameter(f.name, hints[f.name], panel), is_song) for f in fields(declared)
    }


def _parameter(name: str, hint: Any, panel: str) -> inspect.Parameter:
    kind, *notes = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    text = next((n for n in notes if isinstance(n, str)), "")
    option = typer.Option(help=text, rich_help_panel=panel, show_default=False)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind, option],
    )
