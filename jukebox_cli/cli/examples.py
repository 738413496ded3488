"""examples list, examples copy: scripts and packages to start from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from jukebox_cli.cli.completion import complete_examples
from jukebox_cli.cli.console import print_result
from jukebox_cli.cli.groups import command_group
from jukebox_cli.cli.options import Json
from jukebox_cli.config.examples import example_folders, example_title, find_example
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.storage.files import disk_errors, new_folder


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the group `examples` to the app."""
    group = command_group(app, "examples", "Examples: scripts and packages to start from.")
    group.command("list")(list_examples)
    group.command()(copy)


def list_examples(as_json: Json = False) -> None:
    """List the examples that come with the package."""
    titles = {name: example_title(folder) for name, folder in example_folders().items()}
    text = "\n".join(f"{name:16} {title}" for name, title in titles.items())
    print_result({"examples": titles}, text, as_json)


def copy(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="An example, from `jukebox examples list`.",
            autocompletion=complete_examples,
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder to copy the example's folder into.")
    ] = Path("."),
) -> None:
    """Copy an example, to read and to change."""
    source, target = find_example(name), folder / name
    if target.exists():
        raise InputError(f"{target} exists already", "remove it, or copy into another folder")
    _copy_folder(source, target)
    print(target)


def _copy_folder(source: Path, target: Path) -> None:
    """Copies a folder as a whole, or not at all. Raises InputError for what a person can fix about
    the disk."""

    def copy_file(file: str, to: str) -> None:
        with disk_errors(target):  # copytree would collect the errors of all files
            shutil.copy2(file, to)

    with new_folder(target) as part:
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(source, part, ignore=ignore, copy_function=copy_file, dirs_exist_ok=True)
