"""Changes of a level of a model are made as a whole, also if the process is killed meanwhile."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jukebox_cli.storage import model_changes
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.model_changes import changed_prior, complete_change, with_prior
from support.results import refusal


@pytest.fixture
def model(tiny: Model, tmp_path: Path) -> Model:
    """A model that may be changed."""
    return Model(Path(shutil.copytree(tiny.path, tmp_path / "model")))


def change(model: Model, level: int = 1) -> None:
    """Gives a level another width, other weights and other fitted conditioners."""
    with changed_prior(model, level) as target:
        target.weights(f"prior-{level}").write_bytes(b"new")
        target.write_fitted_conditioners(level, {"genre": {"width": 3}})
        prior = replace(model.config.priors[level], mlp_ratio=0.5)
        target.write_config(with_prior(model.config, level, prior))


def is_changed(model: Model, level: int = 1) -> list[bool]:
    """Whether each of the three files is."""
    now = Model(model.path)
    return [
        now.weights(f"prior-{level}").read_bytes() == b"new",
        now.fitted_conditioners(level) == {"genre": {"width": 3}},
        now.config.priors[level].mlp_ratio == 0.5,
    ]


def test_a_change_replaces_three_files(model: Model) -> None:
    other = model.config.priors[0]
    change(model)
    assert is_changed(model) == [True] * 3
    assert Model(model.path).config.priors[0] == other
    assert not list((model.path / "train").glob("*change*"))


def test_a_change_that_fails_changes_nothing(model: Model) -> None:
    def fail() -> None:
        with changed_prior(model, 1) as target:
            target.weights("prior-1").write_bytes(b"new")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert is_changed(model) == [False] * 3
    assert not list((model.path / "train").glob("*change*"))


@pytest.mark.parametrize("done", [0, 1, 2])
def test_an_interrupted_change_is_completed(
    done: int, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [done]
    replace_file = model_changes._replace

    def interrupt(new: Path, old: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        replace_file(new, old)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(model_changes, "_replace", interrupt)
        patch.setattr(os, "rmdir", lambda path: None)
        change(model)
    assert model.change_folder(1).is_dir()
    message, hint = refusal(model.require_weights, "prior-1")
    assert message == f"conditioners were just being added to prior-1 of {model.path}"
    assert hint == "repeat the `jukebox train prior --from` that was interrupted"
    # another level was changed since
    config = Model(model.path).config
    model.write_config(with_prior(config, 0, replace(config.priors[0], mlp_ratio=0.25)))
    complete_change(model, 1)
    complete_change(model, 1)
    assert is_changed(model) == [True] * 3
    assert model.config.priors[0].mlp_ratio == 0.25
    assert not model.change_folder(1).exists()
