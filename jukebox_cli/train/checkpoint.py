"""Checkpoints: everything that training needs to continue exactly where it stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.loader import load_weights
from jukebox_cli.storage.documents import RESTORE_HINT, corruption_errors
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.safetensors_files import read_header
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from jukebox_cli.storage.weight_checks import verify_weights
from jukebox_cli.train.task import Task


def save_checkpoint(
    task: Task,
    optimizer: torch.optim.Optimizer,
    model: Model,
    step: int,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint after `step` steps, then the weights that the model is used with.

    The checkpoint is one file, replaced atomically: parameters and buffers in fp32 as
    `module/NAME`, the optimizer's state as `optimizer/KEY/NAME`, the step and the options of the
    training in the metadata.

    Raises InputError, and writes nothing, if a tensor is not finite: the last update can do that
    after a loss that is.
    """
    tensors = {f"module/{name}": t.detach() for name, t in _named_tensors(task.module).items()}
    for name, parameter in task.module.named_parameters():
        saved = optimizer.state.get(parameter, {})
        tensors |= {f"optimizer/{key}/{name}": value for key, value in saved.items()}
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise InputError(
            f"the weights of {task.component} are not finite after step {step}",
            "train with a lower --learning-rate; the last checkpoint was kept",
        )
    exported = task.export()
    if not all(tensor.isfinite().all() for tensor in exported.values()):
        raise InputError(
            f"the weights of {task.component} are too large for fp16 after step {step}",
            "train with a lower --learning-rate; the last checkpoint was kept",
        )
    metadata = {"options": json.dumps(dict(options or {})), "step": str(step)}
    save_tensors(model.checkpoint(task.component), tensors, metadata)
    _export(task, model, exported)


def export_weights(task: Task, model: Model) -> None:
    """Write the weights that the model is used with, unless they are those of the task already."""
    path, weights = model.weights(task.exported_part), task.export()
    there = load_tensors(path) if path.exists() else {}
    same = there.keys() == weights.keys() and all(
        torch.equal(there[name], tensor.cpu()) for name, tensor in weights.items()
    )
    if not same or task.exported_config(model.config) != model.config:
        _export(task, model, weights)


def _export(task: Task, model: Model, weights: Mapping[str, Tensor]) -> None:
    save_tensors(model.weights(task.exported_part), weights)
    if task.exported_config(model.config) != model.config:
        model.change_config(task.exported_config)


def trained_options(model: Model, component: str) -> dict[str, Any]:
    """What the training of a part was begun with, by option; empty without a checkpoint. Raises
    InputError if it is damaged."""
    path = model.checkpoint(component)
    if not path.exists():
        return {}
    verify_weights(path)
    with corruption_errors(path):
        return dict(json.loads(read_header(path).metadata.get("options", "{}")))


def changed_options(model: Model, component: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a training that is resumed was begun with, by option, where `options` are others."""
    before = trained_options(model, component)
    return {name: value for name, value in before.items() if options.get(name, value) != value}


def resume(task: Task, optimizer: torch.optim.Optimizer, model: Model) -> int:
    """Load the last checkpoint into the task and the optimizer; returns the steps done so far.

    Without a checkpoint, the model's weights are loaded if it has any, and training begins at
    step 0. Raises InputError if the tensors do not fit the network.
    """
    path = model.checkpoint(task.component)
    if path.exists():
        verify_weights(path)
        tensors = load_tensors(path)
        _restore_module(task, tensors, path)
        _restore_optimizer(task.module, optimizer, tensors)
        return num_steps_done(model, task.component)
    weights = model.weights(task.component)
    if weights.exists():
        model.require_weights(task.component)
        load_weights(task.module, load_tensors(weights), model)
    return 0


def _named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and all buffers by name, including those that `state_dict` leaves out."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@torch.no_grad()
def _restore_module(task: Task, tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in _named_tensors(task.module).items():
        saved = tensors.get(f"module/{name}")
        if saved is None or saved.shape != tensor.shape:
            raise InputError(
                f"{path} does not fit {task.component}: wrong shape of {name}",
                f"remove {path} to start again, or train with the preset it was made with",
            )
        tensor.copy_(saved)


def _restore_optimizer(
    module: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    states: dict[str, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        if path.startswith("optimizer/"):
            _, key, name = path.split("/")
            states.setdefault(name, {})[key] = tensor.clone()
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and name in states:
            optimizer.state[parameter] = {
                # AdamW keeps its step count on the CPU
                key: value if key == "step" else value.to(parameter.device)
                for key, value in states[name].items()
            }


def num_steps_done(model: Model, component: str) -> int:
    """The steps after which the last checkpoint was written; 0 if there is none. Raises InputError
    if it is damaged."""
    path = model.checkpoint(component)
    if not path.exists():
        return 0
    verify_weights(path)
    steps = read_header(path).metadata.get("step", "")
    if not steps.isdecimal() or len(steps) > 15:
        raise InputError(f"{path} is damaged: it says no number of steps", RESTORE_HINT)
    return int(steps)
