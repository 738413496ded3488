"""Fixtures: a small model, recordings and a corpus to train on, and a task of either kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.model import Model
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.prior import prepare_prior_task
from jukebox_cli.train.task import Task
from jukebox_cli.train.trainer import train
from jukebox_cli.train.vqvae import VQVAETask
from support.training import (
    CONFIG,
    MakeTask,
    TrainingResult,
    add,
    losses,
    new_corpus,
    new_model,
    training_result,
    write_sounds,
)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """A model of two levels, without weights."""
    return new_model(tmp_path / "model")


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two recordings of 1 s and one of 0.5 s."""
    return write_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture
def corpus(tmp_path: Path, model: Model) -> Corpus:
    """Songs whose tokens rise, by the artist Up, and songs whose tokens fall, by Down."""
    made = new_corpus(tmp_path / "corpus", model)
    for held_out in (False, False, True):
        add(made, "Up", np.arange(200) % 8, held_out)
        add(made, "Down", -np.arange(200) % 8, held_out)
    return made


@pytest.fixture(params=["vqvae-0", "prior-0"])
def make_task(
    request: pytest.FixtureRequest, sounds: list[Path], corpus: Corpus, registry: Registry
) -> MakeTask:
    """Makes a new task for a model, as another process would."""

    def vqvae(model: Model) -> Task:
        crops = Crops.from_files(sounds[:2], 512, 8000, seed=1)
        held_out = Crops.from_files(sounds[2:], 512, 8000, seed=2)
        return VQVAETask(model.config.vqvae, 0, crops, held_out, batch_size=2)

    def prior(model: Model) -> Task:
        return prepare_prior_task(model, 0, corpus, registry, batch_size=2, seed=1)

    return vqvae if request.param == "vqvae-0" else prior


@pytest.fixture
def uninterrupted(make_task: MakeTask, tmp_path: Path) -> TrainingResult:
    """The result of a training run that was never stopped."""
    model = new_model(tmp_path / "uninterrupted")
    task = make_task(model)
    train(task, model, CONFIG)
    assert list(losses(model)) == [1, 2, 3, 4, 5]
    return training_result(model, task.component)
