"""What plugins import. The rest of `jukebox_cli` is not stable; first-party plugins use no more.

This module holds the base classes, errors and small helpers; it imports neither torch nor numpy.

    jukebox_cli.api.nn         parts of a conditioner's network (imports torch)
    jukebox_cli.api.commands   for commands: options, messages, progress
    jukebox_cli.api.runs       for commands: runs, their items, tokens, audio and log
    jukebox_cli.api.models     for commands: models, their settings and networks
    jukebox_cli.api.audio      reading, resampling and decoding sound (imports numpy)
    jukebox_cli.api.files      files that are written completely or not at all
    jukebox_cli.api.tensors    tensors in files, one at a time (imports torch)
    jukebox_cli.api.testing    a tiny model and a command line for a plugin's tests

docs/plugins.md describes them all.
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
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler, SamplingParameters
from jukebox_cli.interfaces.timed_text import TimedLine, TimedText, TimedWord
from jukebox_cli.registry import Registry

__all__ = [
    "CommandOptions",
    "Conditioner",
    "GuidanceSampler",
    "InputError",
    "InputWarning",
    "PriorShape",
    "Registry",
    "Sampler",
    "SamplingParameters",
    "Song",
    "TimedLine",
    "TimedText",
    "TimedWord",
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
