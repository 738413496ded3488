"""Songs with lyrics, rows and installed libraries for the tests of benchmarks/."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from measurements import Row

from jukebox_cli.registry import Registry

LRC = """[Verse]
[00:01.00]<00:01.00>we <00:01.50>sing<00:02.00>
[00:04.00]<00:04.00>again<00:05.00>
"""


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skips a test if an evaluation library is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {' '.join(modules)}: evaluators.txt")


def song_with_lyrics(registry: Registry, lrc: str = LRC) -> dict[str, Any]:
    """A song with the lyrics and times of an .lrc file."""
    return registry.make_conditioner("lyrics", {}).read({"lyrics": lrc}, Path())


def value_of(rows: list[Row], name: str) -> float:
    """The value of the row of a name."""
    (found,) = (row.value for row in rows if row.name == name)
    return found
