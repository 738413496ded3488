"""plugin, preset: what there is."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from jukebox_cli.cli.console import print_result
from jukebox_cli.cli.options import Json
from jukebox_cli.registry import Registry

Name = Annotated[str, typer.Argument(metavar="NAME")]


def add(app: typer.Typer, registry: Registry) -> None:
    """Puts the commands on the app."""
    plugin = typer.Typer(no_args_is_help=True, help="Plugins: conditioners, samplers, commands.")
    preset = typer.Typer(no_args_is_help=True, help="Presets: songs to make, models to train.")
    for name, group in (("plugin", plugin), ("preset", preset)):
        app.add_typer(group, name=name)

    @plugin.command("list")
    def plugin_list(as_json: Json = False) -> None:
        """What is installed, where it comes from, and its flags."""
        rows = _plugins(registry)
        lines = [f"{r['kind']:12} {r['name']:12} {r['from']:20} {r['flags']}" for r in rows]
        print_result({"plugins": rows}, "\n".join(lines), as_json)

    @preset.command("list")
    def preset_list(as_json: Json = False) -> None:
        """The built-in presets."""
        from jukebox_cli.config.presets import find_preset, preset_names
        from jukebox_cli.config.yaml_files import read_yaml

        about = {n: read_yaml(find_preset(n)).get("about", "") for n in preset_names()}
        lines = [f"{name:16} {words}" for name, words in about.items()]
        print_result({"presets": about}, "\n".join(lines), as_json)

    @preset.command("show")
    def preset_show(name: Name) -> None:
        """A preset's text, to read or to start one's own from."""
        from jukebox_cli.config.presets import find_preset
        from jukebox_cli.config.yaml_files import read_text

        path = find_preset(name)
        print(_with_whole_paths(read_text(path), path), end="")


def _with_whole_paths(text: str, preset: Path) -> str:
    """A preset whose files are found from any folder, as a copy of it is to stand in another."""
    from jukebox_cli.config.yaml_files import read_yaml

    for key, value in (read_yaml(preset).get("song") or {}).items():
        if not isinstance(value, str) or "\n" in value:
            continue  # no name of a file
        if (file := preset.parent / value).is_file():
            text = text.replace(f"{key}: {value}", f"{key}: {json.dumps(str(file.resolve()))}")
    return text


def _plugins(registry: Registry) -> list[dict[str, str]]:
    def row(kind: str, name: str, declared: type, module: str) -> dict[str, str]:
        flags = " ".join("--" + f.name.replace("_", "-") for f in fields(declared))
        return {"kind": kind, "name": name, "from": registry.package_of(module), "flags": flags}

    found = [row("conditioner", n, c.Input, c.__module__) for n, c in registry.conditioners.items()]
    return found + [row("sampler", n, s, s.__module__) for n, s in registry.samplers.items()]
