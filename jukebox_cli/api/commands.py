"""The command line for plugins: groups of commands, shared options, messages and progress.

Imports typer, and neither torch nor numpy. Print data to stdout with `print_result` and everything
else to stderr with the other functions here; raise `InputError` for what a person can fix.
"""

from __future__ import annotations

import typer

from jukebox_cli.cli.console import print_note, print_result, print_warning, progress
from jukebox_cli.cli.options import (
    Device,
    DeviceFlag,
    Json,
    ModelName,
    Only,
    Quiet,
    RunFolder,
    validate_out,
)
from jukebox_cli.sampling.items import parse_number_list
from jukebox_cli.sampling.job import Advance, StartProgress, no_progress

__all__ = [
    "Advance",
    "Device",
    "DeviceFlag",
    "Json",
    "ModelName",
    "Only",
    "Quiet",
    "RunFolder",
    "StartProgress",
    "command_group",
    "no_progress",
    "parse_number_list",
    "print_note",
    "print_result",
    "print_warning",
    "progress",
    "validate_out",
]


def command_group(app: typer.Typer, name: str, description: str = "") -> typer.Typer:
    """The group of commands called `name`, such as `model`, to add a command to.

    A group that does not exist is added to the app, with `description` as its help.
    """
    for group in app.registered_groups:
        if group.name == name and group.typer_instance is not None:
            return group.typer_instance
    added = typer.Typer(no_args_is_help=True, help=description)
    app.add_typer(added, name=name)
    return added
