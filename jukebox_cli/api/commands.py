"""The command line for plugins: groups of commands, shared options, messages and progress.

Imports typer, and neither torch nor numpy. Print data to stdout with `print_result` and everything
else to stderr with the other functions here; raise `InputError` for what a person can fix.
"""

from __future__ import annotations

from jukebox_cli.cli.console import print_note, print_result, print_warning, progress
from jukebox_cli.cli.groups import command_group
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
