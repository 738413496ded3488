"""One training loop, for autoencoders and priors alike.

What a step does depends on its number alone (data, noise, learning rate), never on hidden state,
so a run that was killed goes on exactly as it would have without: same batches, same losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.loader import load_weights
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from jukebox_cli.train.task import Task


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, moving averages too, by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def save_checkpoint(task: Task, optimizer: torch.optim.Optimizer, model: Model, step: int) -> None:
    """One file with all that is needed to go on, then the weights for everybody else."""
    tensors = {f"module/{k}": v.detach() for k, v in named_tensors(task.module).items()}
    for name, parameter in task.module.named_parameters():
        state = optimizer.state.get(parameter, {})
        tensors |= {f"optimizer/{k}/{name}": v for k, v in state.items()}
    save_tensors(model.checkpoint(task.part), tensors, {"step": str(step)})
    save_tensors(model.weights(task.part), task.export())


def resume_from_checkpoint(task: Task, optimizer: torch.optim.Optimizer, model: Model) -> int:
    """Loads the last checkpoint, or else the model's weights, and gives the step to go on from."""
    path, weights = model.checkpoint(task.part), model.weights(task.part)
    if not path.exists():
        if weights.exists():
            load_weights(task.module, load_tensors(weights), model)
        return 0
    tensors = load_tensors(path)
    with torch.no_grad():
        for name, tensor in named_tensors(task.module).items():
            saved = tensors.get(f"module/{name}")
            if saved is None or saved.shape != tensor.shape:
                hint = f"remove {path} to start anew, or train with the same preset"
                raise InputError(f"{path} holds another shape of {task.part}: {name}", hint)
            tensor.copy_(saved)
    states: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer/"):
            _, what, name = key.split("/")
            states.setdefault(name, {})[what] = tensor.clone()
    for name, parameter in task.module.named_parameters():
        if parameter.requires_grad and name in states:
            state = states[name]
            moved = {k: t if k == "step" else t.to(parameter.device) for k, t in state.items()}
            optimizer.state[parameter] = moved
    return _step_of(path)


def _step_of(path: object) -> int:
    from safetensors import safe_open

    with safe_open(str(path), "pt") as file:
        return int((file.metadata() or {}).get("step", 0))
