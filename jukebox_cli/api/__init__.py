"""What plugins import: nothing else of `jukebox_cli` is stable, and first-party plugins use no more.

This module is light: it imports neither torch nor numpy. Networks are in `jukebox_cli.api.nn`.
"""

from __future__ import annotations

from jukebox_cli.config.suggest import did_you_mean, lookup_id, unknown_name
from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.command_options import (
    CommandOptions,
    command_option,
    first_equivalent,
    options_with_file,
    pluralize,
    read_options,
    summarize,
    unavailable_option,
)
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Values, Window
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler

__all__ = [
    "CommandOptions",
    "Conditioner",
    "GuidanceSampler",
    "InputError",
    "InputWarning",
    "PriorShape",
    "Sampler",
    "Song",
    "Values",
    "Window",
    "command_option",
    "did_you_mean",
    "first_equivalent",
    "hookimpl",
    "lookup_id",
    "options_with_file",
    "pluralize",
    "read_options",
    "read_text",
    "summarize",
    "unavailable_option",
    "unknown_name",
]
