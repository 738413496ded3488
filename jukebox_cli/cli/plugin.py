"""plugin list: the plugins that are installed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import typer

from jukebox_cli.cli.console import print_result
from jukebox_cli.cli.groups import command_group
from jukebox_cli.cli.options import Json
from jukebox_cli.interfaces.command_options import option_flag
from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.registry import Registry

#: The first row of the list.
HEADER = {key: key for key in ("kind", "name", "plugin", "package", "options")}


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the group `plugin` to the app."""
    group = command_group(
        app, "plugin", "Plugins: conditioners, samplers, commands and event hooks."
    )
    group.command("list")(list_plugins)


def list_plugins(ctx: typer.Context, as_json: Json = False) -> None:
    """List the installed plugins: what they add, their package and options.

    JUKEBOX_BLOCK=PLUGIN switches a plugin off.
    """
    registry: Registry = ctx.obj
    rows = [_class_row(registry, "conditioner", c, c.Input) for c in registry.conditioners.values()]
    rows += [_class_row(registry, "sampler", s, s) for s in registry.samplers.values()]
    for kind, hook in (("commands", "jukebox_commands"), ("events", "jukebox_event")):
        rows += [_row(registry, kind, name, name, ()) for name in registry.plugins_with(hook)]
    widths = {key: max(len(row[key]) for row in [HEADER, *rows]) for key in HEADER}
    lines = ["  ".join(row[key].ljust(widths[key]) for key in HEADER) for row in [HEADER, *rows]]
    print_result({"plugins": rows}, "\n".join(line.rstrip() for line in lines), as_json)


def _class_row(
    registry: Registry, kind: str, plugin: type[Conditioner] | type[Sampler], declared: type
) -> dict[str, str]:
    names = [field.name for field in fields(declared)]
    return _row(registry, kind, plugin.name, registry.plugin_of(plugin), names)


def _row(
    registry: Registry, kind: str, name: str, plugin: str, options: Iterable[str]
) -> dict[str, str]:
    package = registry.package_of(plugin) or "-"
    flags = " ".join(map(option_flag, options))
    return {"kind": kind, "name": name, "plugin": plugin, "package": package, "options": flags}
