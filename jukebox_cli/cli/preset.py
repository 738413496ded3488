"""preset list, preset show: songs to generate and training recipes."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from jukebox_cli.cli.completion import complete_presets
from jukebox_cli.cli.console import print_result
from jukebox_cli.cli.groups import command_group
from jukebox_cli.cli.options import Json
from jukebox_cli.registry import Registry

Presets = dict[str, dict[str, str]]


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the group `preset` to the app."""
    group = command_group(app, "preset", "Presets: songs and training recipes.")
    group.command("list")(list_presets)
    group.command()(show)


def list_presets(ctx: typer.Context, as_json: Json = False) -> None:
    """List the built-in presets: songs for `generate`, recipes for `train vqvae`."""
    from jukebox_cli.config.presets import find_preset, preset_names
    from jukebox_cli.config.yaml_files import read_yaml

    songs: Presets = {}
    recipes: Presets = {}
    for name in preset_names():
        data = read_yaml(find_preset(name))
        row = {"description": str(data.get("description", ""))}
        if "vqvae" in data:
            recipes[name] = row
        else:
            missing = _missing(data, ctx.obj)
            songs[name] = {**row, "missing": missing} if missing else row
    text = "\n".join(["songs:", *_lines(songs), "", "training recipes:", *_lines(recipes)])
    print_result({"songs": songs, "recipes": recipes}, text, as_json)


def _missing(preset: dict[str, Any], registry: Registry) -> str:
    """What is missing to use a song preset; empty if nothing is."""
    from jukebox_cli.storage.model import model_names

    model = preset.get("model")
    if model and model not in model_names():
        source = preset.get("model_source") or "see `jukebox model list`"
        return f"needs the model {model}: {source}"
    known = {field.name for c in registry.conditioners.values() for field in fields(c.Input)}
    unknown = [key for key in preset.get("song") or {} if key not in known]
    return f"needs a plugin for {', '.join(unknown)}" if unknown else ""


def _lines(presets: Presets) -> list[str]:
    lines = []
    for name, row in presets.items():
        lines.append(f"  {name:16}  {row['description']}")
        if "missing" in row:
            lines.append(f"  {'':16}  {row['missing']}")
    return lines


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A preset: a path, or a name from `jukebox preset list`.",
            autocompletion=complete_presets,
        ),
    ],
) -> None:
    """Print a preset, as a starting point for your own."""
    from jukebox_cli.config.presets import find_preset
    from jukebox_cli.config.yaml_files import read_text

    path = find_preset(name)
    print(_with_absolute_paths(read_text(path), path), end="")


def _with_absolute_paths(text: str, preset: Path) -> str:
    """The preset's text with absolute paths, so that a copy elsewhere finds the files."""
    from jukebox_cli.config.yaml_files import read_yaml

    for key, value in (read_yaml(preset).get("song") or {}).items():
        if not isinstance(value, str) or "\n" in value:
            continue  # not a file name
        if (file := preset.parent / value).is_file():
            text = text.replace(f"{key}: {value}", f"{key}: {json.dumps(str(file.resolve()))}")
    return text
