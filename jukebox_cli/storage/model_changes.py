"""Changes of a level of a model that take several files: its config, its weights and what its
conditioners learned.

The new files are written to a folder that is moved to its place as a whole. From then on it says
what is to be done, and it is gone when that is done: each file that is left there replaces the
model's. So a process that was killed has changed nothing, or the next one completes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jukebox_cli.config.schema import ModelConfig, PriorConfig
from jukebox_cli.storage.durable import delete_file, sync_file, sync_folder
from jukebox_cli.storage.files import disk_errors, new_folder
from jukebox_cli.storage.locks import exclusive_lock
from jukebox_cli.storage.model import Model


@contextmanager
def changed_prior(model: Model, level: int) -> Iterator[Model]:
    """A model in a temporary folder, whose config, weights and fitted conditioners of a level
    become those of `model` if the block succeeds."""
    complete_change(model, level)
    with new_folder(model.change_folder(level)) as folder:
        yield Model(folder)
    complete_change(model, level)


def complete_change(model: Model, level: int) -> None:
    """Does what is left of a change that was interrupted, if there is one."""
    folder = model.change_folder(level)
    if not folder.is_dir():
        return
    with exclusive_lock(folder.parent), disk_errors(model.path):
        if not folder.is_dir():  # another process has done so meanwhile
            return
        if (folder / "config.yaml").is_file():
            config = Model(folder).config.priors[level]
            # other levels may have been changed since
            model.write_config(with_prior(Model(model.path).config, level, config))
            delete_file(folder / "config.yaml")
        for path in sorted(folder.iterdir()):
            _replace(path, model.path / path.name)
        folder.rmdir()
        sync_folder(folder.parent)
    model.__dict__.pop("config", None)


def _replace(new: Path, old: Path) -> None:
    sync_file(new)
    os.replace(new, old)
    sync_folder(old.parent)
    sync_folder(new.parent)


def with_prior(config: ModelConfig, level: int, prior: PriorConfig) -> ModelConfig:
    """The config of a model with another prior at a level."""
    return replace(config, priors=(*config.priors[:level], prior, *config.priors[level + 1 :]))
