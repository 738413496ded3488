"""Checkpoints: written atomically, and loaded only into a network of their shape."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from jukebox_cli.train.trainer import train
from support.training import (
    CODEC,
    CONFIG,
    PRIOR,
    MakeTask,
    PowerFailure,
    TrainingResult,
    new_model,
    training_result,
)


@pytest.mark.parametrize("write", range(1, 5))
def test_a_process_killed_while_it_writes_a_checkpoint_leaves_a_complete_one(
    make_task: MakeTask,
    model: Model,
    uninterrupted: TrainingResult,
    write: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replaced: list[str] = []
    replace_file = os.replace

    def replace_or_fail(source: str, target: str) -> None:
        replaced.append(target)
        if len(replaced) == write:
            raise PowerFailure
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", replace_or_fail)
    with pytest.raises(PowerFailure):
        train(make_task(model), model, CONFIG)
    monkeypatch.setattr(os, "replace", replace_file)
    resumed = make_task(model)
    train(resumed, model, CONFIG)
    assert training_result(model, resumed.component) == uninterrupted


def test_a_model_without_checkpoints_is_trained_further_from_its_weights(
    make_task: MakeTask, model: Model
) -> None:
    train(make_task(model), model, CONFIG)
    component = make_task(model).component
    trained = load_tensors(model.weights(component))
    model.checkpoint(component).unlink()
    train(make_task(model), model, replace(CONFIG, steps=1, learning_rate=0.0))
    after = load_tensors(model.weights(component))
    unchanged = {name for name in after if torch.equal(after[name], trained[name])}
    assert {name for name in after if "codebook" not in name} <= unchanged


def test_weights_of_another_shape_are_refused(make_task: MakeTask, model: Model) -> None:
    train(make_task(model), model, CONFIG)
    component = make_task(model).component
    model.checkpoint(component).unlink()
    weights = load_tensors(model.weights(component))
    name = next(iter(weights))
    save_tensors(model.weights(component), {**weights, name: torch.zeros(3)})
    before = model.weights(component).read_bytes()
    with pytest.raises(InputError, match=f"the weights of model 'model' do not fit.*{name}"):
        train(make_task(model), model, CONFIG)
    assert model.weights(component).read_bytes() == before


def test_a_checkpoint_of_another_shape_is_refused(make_task: MakeTask, model: Model) -> None:
    task = make_task(model)
    train(task, model, replace(CONFIG, steps=2))
    if task.component == "vqvae-0":
        other = new_model(model.path, codec=replace(CODEC, widths=(12, 8)))
    else:
        other = new_model(model.path, prior=replace(PRIOR, width=64))
    path = model.checkpoint(task.component)
    before = path.read_bytes()
    with pytest.raises(InputError) as caught:
        train(make_task(other), other, CONFIG)
    assert caught.value.message.startswith(f"{path} does not fit {task.component}: wrong shape of ")
    hint = f"remove {path} to start again, or train with the preset it was made with"
    assert caught.value.hint == hint
    assert path.read_bytes() == before
