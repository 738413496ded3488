"""What plugins import: nothing else of `jukebox_cli` is stable, and first-party plugins import no more.

This module is light: it imports neither torch nor numpy. Networks are in `jukebox_cli.api.nn`.
"""

from __future__ import annotations

from jukebox_cli.config.suggest import did_you_mean, lookup_id, unknown_name
from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Values, Window
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler

__all__ = [
    "Conditioner",
    "GuidanceSampler",
    "InputError",
    "InputWarning",
    "PriorShape",
    "Sampler",
    "Song",
    "Values",
    "Window",
    "did_you_mean",
    "hookimpl",
    "lookup_id",
    "read_text",
    "unknown_name",
]
