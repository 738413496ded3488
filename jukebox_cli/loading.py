"""From a model's folder to networks on a device."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from jukebox_cli.config import ModelConfig
from jukebox_cli.folders import Model
from jukebox_cli.linear import Linear
from jukebox_cli.mapped import load_tensors
from jukebox_cli.plugin import Conditioner, InputError
from jukebox_cli.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.steering import conditioners, shape_of
from jukebox_cli.vqvae import VQVAE

#: Bytes; what the widest vector instructions read at once.
ALIGNMENT = 64


def pick_device(name: str) -> torch.device:
    """`auto` is the first there is of cuda, mps, cpu. InputError when `name` is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((d for d, ok in there.items() if ok), "cpu"))
    if name != "cpu" and not there.get(name, False):
        raise InputError(f"no device '{name}' on this machine", "use --device auto or cpu")
    return torch.device(name)


def pick_precision(name: str, device: torch.device, large: bool) -> torch.dtype:
    """What a prior draws in. `auto` is fp32 on a CPU but for large ones, which are drawn in fp16 as
    Jukebox was; and what else a device is fast at. InputError when a device can't."""
    if name == "bf16" and device.type == "cpu":
        raise InputError("a CPU draws in fp32 or fp16, not in bf16", "use --precision fp16")
    if name != "auto":
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]
    if device.type == "cuda":
        return torch.bfloat16 if fast_bfloat16(device) else torch.float16
    return torch.float16 if device.type == "cpu" and large else torch.float32


#: Parameters from which on a prior is large.
LARGE = 50_000_000


def is_large(prior: Prior) -> bool:
    """Whether reading a prior's weights takes longer than all else at a position."""
    return sum(p.numel() for p in prior.parameters()) >= LARGE


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Mixed precision: bfloat16 if `precision` is bf16, or auto and the device is fast at it."""
    wanted = precision == "bf16" or (precision == "auto" and fast_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def load_vqvae(model: Model, device: torch.device) -> VQVAE:
    """The autoencoders of all levels, in fp32."""
    vqvae = VQVAE(model.config.vqvae)
    for number in range(model.config.vqvae.levels):
        model.need(f"vqvae-{number}")
        fill(vqvae.level(number), load_tensors(model.weights(f"vqvae-{number}")), model)
    return vqvae.to(device).eval()


def load_prior(
    model: Model, level: int, registry: Registry, device: torch.device, precision: str = "auto"
) -> Prior:
    """A level's transformer with its conditioners. In fp16 on a CPU are only its large weights,
    and what is computed with them is in fp32; elsewhere all but the conditioners, which get their
    numbers in fp32 (a place in a long song has no like in bf16) and need not know of precisions."""
    model.need(f"prior-{level}")
    parts = conditioners(model, level, registry)
    prior = new_prior(model.config, level, parts, empty=True)
    fill(prior, load_tensors(model.weights(f"prior-{level}")), model)
    kind = pick_precision(precision, device, is_large(prior))
    if device.type == "cpu" and kind == torch.float16:
        return _halved(prior).eval()
    prior.to(device, kind).conditioners.float()
    return _aligned(prior).eval()


def _aligned(prior: Prior) -> Prior:
    """Weights at round addresses, as torch would have put them; those that are mapped stand where
    they do in their file. Products round by it, and so the same weights in another file, such as
    that of a model with one more conditioner, would give other logits."""
    for parameter in prior.parameters():
        if parameter.data_ptr() % ALIGNMENT:
            parameter.data = parameter.data.clone()
    return prior


def _halved(prior: Prior) -> Prior:
    """Weight after weight, so that no two copies of all of them are in memory."""
    linears = [module for module in prior.modules() if isinstance(module, Linear)]
    for linear in linears:
        linear.halve()
    large = {id(linear.weight) for linear in linears}
    for parameter in prior.parameters():
        if id(parameter) not in large:
            parameter.data = parameter.data.float()
    return prior


def new_prior(
    config: ModelConfig, level: int, parts: Mapping[str, Conditioner], empty: bool = False
) -> Prior:
    """A level's transformer with random weights, or `empty`: without memory for them, to be filled
    with those of a file. The parts of plugins are made as they are used to be."""
    vqvae, shape = config.vqvae, shape_of(config, level)
    modules = {name: part.module(shape) for name, part in parts.items()}
    above = vqvae.strides[level + 1] if level + 1 < vqvae.levels else None
    with torch.device("meta") if empty else nullcontext():
        return Prior(config.priors[level], vqvae.bins, modules, above)


def fill(module: nn.Module, weights: dict[str, Tensor], model: Model) -> None:
    """Copies weights into a module; InputError when they are not of its shape."""
    try:
        module.load_state_dict(weights, assign=any(p.is_meta for p in module.parameters()))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        hint = "its config.yaml and its weights are not of one model"
        raise InputError(f"the weights of model '{model.name}' do not fit: {first}", hint) from None
