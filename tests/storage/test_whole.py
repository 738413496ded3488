"""All files of models and runs are read through, and every damaged one is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.storage.whole import check_model
from support.results import refusal
from support.run_files import flip_bit

RESTORE = "restore it from a copy, or make it again"


@pytest.fixture
def model(tiny: Model, tmp_path: Path) -> Model:
    return Model(Path(shutil.copytree(tiny.path, tmp_path / "model")))


def test_a_whole_model_has_no_problems(model: Model) -> None:
    assert check_model(model) == 1 + 3 + 6
    assert check_model(find_model("mini")) == 1 + 3 + 6


def test_every_damaged_file_of_a_model_is_named(model: Model) -> None:
    first, second = model.weights("prior-0"), model.weights("vqvae-2")
    flip_bit(first)
    flip_bit(second)
    message, hint = refusal(check_model, model)
    assert message.splitlines() == [
        f"{path} is damaged: its checksum does not match" for path in (first, second)
    ]
    assert hint == RESTORE
