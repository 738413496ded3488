"""From a model's folder to networks on a device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.devices import pick_dtype
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.plugin_calls import make_module
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import index_tensors, load_tensors

#: Bytes that the widest vector instructions read at once; torch allocates at multiples of it.
ALIGNMENT = 64

#: A prior with at least this many parameters is large.
LARGE_PARAMETERS = 50_000_000


class StoredWeights(NamedTuple):
    """What a weight file says of a prior before it is loaded."""

    num_parameters: int
    all_fp16: bool

    @property
    def is_large(self) -> bool:
        return self.num_parameters >= LARGE_PARAMETERS


def stored_weights(path: Path) -> StoredWeights:
    """The header of a weight file. InputError if it is missing or damaged."""
    tensors = index_tensors(path).values()
    count = sum(prod(tensor.shape) for tensor in tensors)
    return StoredWeights(count, all(t.storage.dtype == torch.float16 for t in tensors))


def is_large(prior: Prior) -> bool:
    """Whether reading the prior's weights dominates the time of a step on a CPU."""
    return sum(p.numel() for p in prior.parameters()) >= LARGE_PARAMETERS


def load_vqvae(model: Model, device: torch.device) -> VQVAE:
    """The autoencoders of all levels, in fp32. InputError if weights are missing or do not fit."""
    vqvae = VQVAE(model.config.vqvae)
    for level in range(model.config.vqvae.num_levels):
        model.require_weights(f"vqvae-{level}")
        load_weights(vqvae.level(level), load_tensors(model.weights(f"vqvae-{level}")), model)
    return vqvae.to(device).eval()


def load_prior(
    model: Model, level: int, registry: Registry, device: torch.device, precision: str = "auto"
) -> Prior:
    """The prior of a level with its conditioners, ready to sample.

    With fp16 on a CPU only the weights of linear layers are fp16 and the arithmetic is fp32.
    Elsewhere the whole prior has the precision, except its conditioners, which stay fp32: their
    inputs, such as a position in a long song, are not exact in bf16, and plugins need not handle
    dtypes. InputError if weights are missing or do not fit.
    """
    prior = _load_stored_prior(model, level, registry)
    dtype = pick_dtype(precision, device, is_large(prior))
    if device.type == "cpu" and dtype == torch.float16:
        return _store_weights_as_fp16(prior).eval()
    prior.to(device, dtype).conditioners.float()
    return _align_weights(prior).eval()


def load_prior_for_packing(model: Model, level: int, registry: Registry) -> Prior:
    """The prior of a level on the CPU, with its transformer's weights as they are stored: the
    native engine packs them. Everything else is fp32. InputError as for `load_prior`."""
    prior = _load_stored_prior(model, level, registry)
    _convert_others_to_fp32(prior, prior.transformer.parameters())
    return _align_weights(prior).eval()


def _load_stored_prior(model: Model, level: int, registry: Registry) -> Prior:
    """The prior of a level with its weights mapped as they are stored."""
    model.require_weights(f"prior-{level}")
    conditioners = load_conditioners(model, level, registry)
    prior = build_prior(model.config, level, conditioners, on_meta=True)
    load_weights(prior, load_tensors(model.weights(f"prior-{level}")), model)
    return prior


def _convert_others_to_fp32(prior: Prior, kept: Iterable[nn.Parameter]) -> None:
    """Converts all parameters to fp32, but for some."""
    as_they_are = {id(parameter) for parameter in kept}
    for parameter in prior.parameters():
        if id(parameter) not in as_they_are:
            parameter.data = parameter.data.float()


def _align_weights(prior: Prior) -> Prior:
    """Copy weights that are not aligned as torch allocates them.

    Memory-mapped weights lie wherever their file has them. Products round differently by
    alignment, so the same weights in another file, e.g. of a model with one more conditioner, would
    give other logits.
    """
    for parameter in prior.parameters():
        if parameter.data_ptr() % ALIGNMENT:
            parameter.data = parameter.data.clone()
    return prior


def _store_weights_as_fp16(prior: Prior) -> Prior:
    """Convert the weights of linear layers to fp16 and all others to fp32.

    One at a time, so that memory never holds two copies of all of them.
    """
    linears = [module for module in prior.modules() if isinstance(module, BatchInvariantLinear)]
    for linear in linears:
        linear.store_weight_as_fp16()
    _convert_others_to_fp32(prior, (linear.weight for linear in linears))
    return prior


def build_prior(
    config: ModelConfig, level: int, conditioners: Mapping[str, Conditioner], on_meta: bool = False
) -> Prior:
    """The prior of a level with random weights.

    With `on_meta` its own weights have no memory, until `load_weights` assigns them; the networks
    of the conditioners have.
    """
    vqvae, shape = config.vqvae, prior_shape(config, level)
    networks = {name: make_module(conditioner, shape) for name, conditioner in conditioners.items()}
    strides = vqvae.strides[level + 1] if level + 1 < vqvae.num_levels else None
    with _no_memory() if on_meta else nullcontext():
        return Prior(config.priors[level], vqvae.codebook_size, networks, strides)


@contextmanager
def _no_memory() -> Iterator[None]:
    """Within the block, modules get weights without memory, and don't draw them."""
    with torch.device("meta"), _NoInitialization():
        yield


class _NoInitialization(TorchFunctionMode):
    """Leaves out drawing weights and scaling them: on the meta device, arithmetic imports torch's
    compiler, which takes longer than importing torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments = kwargs or {}
        if func is nn.init.normal_:
            return arguments["tensor"]
        if func is torch.Tensor.mul and isinstance(args[1], float):
            return args[0]
        return (torch.empty if func is torch.randn else func)(*args, **arguments)


def load_weights(module: nn.Module, weights: dict[str, Tensor], model: Model) -> None:
    """Load weights into a module. InputError if names or shapes differ."""
    try:
        module.load_state_dict(weights, assign=any(p.is_meta for p in module.parameters()))
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        hint = "its config.yaml and its weights are not of one model"
        raise InputError(
            f"the weights of model '{model.name}' do not fit: {detail}", hint
        ) from None
