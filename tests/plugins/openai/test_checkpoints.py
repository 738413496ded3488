"""The files of a model's parts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from jukebox_plugins.openai.checkpoints import read_checkpoints
from jukebox_plugins.openai.model_folder import write_imported_model

from jukebox_cli.registry import Registry
from support.imported import import_checkpoints
from support.originals import weights
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


def test_parts_can_be_in_several_folders(checkpoints: Path, registry: Registry) -> None:
    whole = import_checkpoints(checkpoints, registry, "a")
    Path("top").mkdir()
    shutil.move(checkpoints / "prior_level_2.pth.tar", "top")
    parts = read_checkpoints([Path("top"), checkpoints])
    apart = write_imported_model(parts, Path("b"), registry, [], lambda part: None)
    assert weights(apart) == weights(whole)


def test_folders_without_a_model_are_errors(checkpoints: Path, refused: Refused) -> None:
    hint = "name the folder that the checkpoints are in"
    refused("nowhere", error="no folder nowhere", hint=hint)
    refused("checkpoints/vqvae.pth.tar", error="no folder checkpoints/vqvae.pth.tar", hint=hint)
    Path("empty").mkdir()
    hint = "it needs vqvae.pth.tar and prior_level_N.pth.tar, or config.json and weights"
    refused("empty", error="empty holds no model that can be imported", hint=hint)


def test_the_port_is_imported_alone(checkpoints: Path, refused: Refused) -> None:
    Path("port").mkdir()
    Path("port/config.json").write_text("{}")
    error = "port is a complete model of the transformers port"
    refused("checkpoints", "port", error=error, hint="name that folder alone")


@pytest.mark.parametrize("name", ["vqvae.pth.tar", "prior_level_1.pth.tar"])
def test_a_missing_file_is_an_error(name: str, checkpoints: Path, refused: Refused) -> None:
    (checkpoints / name).unlink()
    hint = "name another folder too, if it is of the same model"
    refused(error=f"no file checkpoints/{name}", hint=hint)
    Path("others").mkdir()
    Path("others", name).touch()
    hint = f"name {Path('others').absolute()} too, if it is of the same model"
    refused(error=f"no file checkpoints/{name}", hint=hint)
