"""A model to add conditioners to, and the plugins they come from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.storage.model import Model
from support.surgery import (
    BARE,
    EXAMPLE_PLUGIN,
)
from support.tiny_model import make_tiny


@pytest.fixture(scope="module")
def all_plugins() -> Iterator[Registry]:
    """The first-party plugins, and the third-party one of examples/plugin."""
    sys.path.insert(0, str(EXAMPLE_PLUGIN))
    jukebox_energy = import_module("jukebox_energy")

    plugins = dict(load_installed(pytest.fail).manager.list_name_plugin())
    yield Registry({**plugins, "energy": jukebox_energy})
    sys.path.remove(str(EXAMPLE_PLUGIN))


@pytest.fixture
def bare(tmp_path: Path, registry: Registry) -> Model:
    """A model without conditioners."""
    return make_tiny(tmp_path / "bare", registry, BARE)
