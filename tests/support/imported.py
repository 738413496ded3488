"""Models that are imported from checkpoints."""

from __future__ import annotations

from pathlib import Path

from jukebox_plugins.openai.checkpoints import read_checkpoints
from jukebox_plugins.openai.model_folder import write_imported_model

from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model


def import_checkpoints(folder: Path, registry: Registry, name: str = "imported") -> Model:
    """The model of a folder of checkpoints, in a folder beside it."""
    checkpoints = read_checkpoints([folder])
    return write_imported_model(
        checkpoints, folder.parent / name, registry, [folder], lambda _: None
    )
