"""Files for plugins: written completely or not at all, read with errors that a person can act on.

Imports neither torch nor numpy.
"""

from __future__ import annotations

from jukebox_cli.config.schema import FORMAT
from jukebox_cli.storage.documents import (
    corruption_errors,
    json_text,
    read_json,
    read_own_json,
)
from jukebox_cli.storage.files import atomic_write, disk_errors, new_folder, write_text

__all__ = [
    "FORMAT",
    "atomic_write",
    "corruption_errors",
    "disk_errors",
    "json_text",
    "new_folder",
    "read_json",
    "read_own_json",
    "write_text",
]
