"""plugin list: the conditioners and samplers that are installed."""

from __future__ import annotations

from dataclasses import fields

import typer

from jukebox_cli.cli.console import print_result
from jukebox_cli.cli.groups import command_group
from jukebox_cli.cli.options import Json
from jukebox_cli.interfaces.command_options import option_flag
from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the group `plugin` to the app."""
    group = command_group(app, "plugin", "Plugins: conditioners and samplers.")
    group.command("list")(list_plugins)


def list_plugins(ctx: typer.Context, as_json: Json = False) -> None:
    """List the installed conditioners and samplers: their package and options."""
    registry: Registry = ctx.obj
    rows = [_row(registry, "conditioner", c, c.Input) for c in registry.conditioners.values()]
    rows += [_row(registry, "sampler", s, s) for s in registry.samplers.values()]
    lines = [f"{r['kind']:12} {r['name']:12} {r['package']:20} {r['options']}" for r in rows]
    print_result({"plugins": rows}, "\n".join(lines), as_json)


def _row(
    registry: Registry, kind: str, plugin: type[Conditioner] | type[Sampler], declared: type
) -> dict[str, str]:
    options = " ".join(option_flag(field.name) for field in fields(declared))
    package = registry.package_of(plugin.__module__)
    return {"kind": kind, "name": plugin.name, "package": package, "options": options}
