"""From a model's folder to networks on a device."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.devices import pick_precision
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.plugin_calls import make_module
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors

#: Bytes; what the widest vector instructions read at once.
ALIGNMENT = 64


#: Parameters from which on a prior is large.
LARGE_PARAMETERS = 50_000_000


def is_large(prior: Prior) -> bool:
    """Whether reading a prior's weights takes longer than all else at a position."""
    return sum(p.numel() for p in prior.parameters()) >= LARGE_PARAMETERS


def load_vqvae(model: Model, device: torch.device) -> VQVAE:
    """The autoencoders of all levels, in fp32."""
    vqvae = VQVAE(model.config.vqvae)
    for number in range(model.config.vqvae.num_levels):
        model.require_weights(f"vqvae-{number}")
        load_weights(vqvae.level(number), load_tensors(model.weights(f"vqvae-{number}")), model)
    return vqvae.to(device).eval()


def load_prior(
    model: Model, level: int, registry: Registry, device: torch.device, precision: str = "auto"
) -> Prior:
    """A level's transformer with its conditioners. In fp16 on a CPU are only its large weights,
    and what is computed with them is in fp32; elsewhere all but the conditioners, which get their
    numbers in fp32 (a place in a long song has no like in bf16) and need not know of precisions."""
    model.require_weights(f"prior-{level}")
    parts = load_conditioners(model, level, registry)
    prior = build_prior(model.config, level, parts, empty=True)
    load_weights(prior, load_tensors(model.weights(f"prior-{level}")), model)
    kind = pick_precision(precision, device, is_large(prior))
    if device.type == "cpu" and kind == torch.float16:
        return _store_weights_as_fp16(prior).eval()
    prior.to(device, kind).conditioners.float()
    return _align_weights(prior).eval()


def _align_weights(prior: Prior) -> Prior:
    """Weights at round addresses, as torch would have put them; those that are mapped stand where
    they do in their file. Products round by it, and so the same weights in another file, such as
    that of a model with one more conditioner, would give other logits."""
    for parameter in prior.parameters():
        if parameter.data_ptr() % ALIGNMENT:
            parameter.data = parameter.data.clone()
    return prior


def _store_weights_as_fp16(prior: Prior) -> Prior:
    """Weight after weight, so that no two copies of all of them are in memory."""
    linears = [module for module in prior.modules() if isinstance(module, BatchInvariantLinear)]
    for linear in linears:
        linear.store_weight_as_fp16()
    large = {id(linear.weight) for linear in linears}
    for parameter in prior.parameters():
        if id(parameter) not in large:
            parameter.data = parameter.data.float()
    return prior


def build_prior(
    config: ModelConfig, level: int, conditioners: Mapping[str, Conditioner], empty: bool = False
) -> Prior:
    """A level's transformer with random weights, or `empty`: without memory for them, to be filled
    with those of a file. The parts of plugins are made as they are used to be."""
    vqvae, shape = config.vqvae, prior_shape(config, level)
    modules = {name: make_module(part, shape) for name, part in conditioners.items()}
    above = vqvae.strides[level + 1] if level + 1 < vqvae.num_levels else None
    with torch.device("meta") if empty else nullcontext():
        return Prior(config.priors[level], vqvae.codebook_size, modules, above)


def load_weights(module: nn.Module, weights: dict[str, Tensor], model: Model) -> None:
    """Copies weights into a module; InputError when they are not of its shape."""
    try:
        module.load_state_dict(weights, assign=any(p.is_meta for p in module.parameters()))
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        hint = "its config.yaml and its weights are not of one model"
        raise InputError(f"the weights of model '{model.name}' do not fit: {first}", hint) from None
