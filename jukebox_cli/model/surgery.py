"""Adding conditioners to a trained prior (paper, "Decoder pretraining" and appendix B.2).

The new prior starts with the old one's weights and computes the same logits to the bit: a new
conditioner's `start` and `per_token` enter through a zero-initialised projection, and a memory is
attended to by new cross-attention layers whose outputs are zero-initialised. Training opens both.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from jukebox_cli.config.schema import Options, PriorConfig
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import (
    encode_window,
    fit_conditioner,
    load_conditioners,
    prior_shape,
)
from jukebox_cli.model.conditioning import Conditioning, arrays_to_device
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.plugin_calls import make_module, run_module
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.files import atomic_write, new_folder
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.model_changes import changed_prior, complete_change, with_prior
from jukebox_cli.storage.tensors import StoredTensor, index_tensors, stream_tensors


@dataclass(frozen=True)
class Addition:
    """What to add to a prior."""

    #: Options of the new conditioners, by name.
    conditioners: Mapping[str, Options]
    #: New layers, for a conditioner that makes a memory.
    num_cross_attention_layers: int = 1


def add_conditioners(
    old: Model,
    new: Model,
    level: int,
    addition: Addition,
    songs: Sequence[Song],
    registry: Registry,
    seed: int = 0,
) -> None:
    """Write `new`: the model `old` with more conditioners at a level, fitted to songs.

    If `new` exists it must be a copy of `old` that differs at other levels only, and keeps those;
    if the addition is already there, nothing is done. InputError if it is not possible.
    """
    _require_addable(old, new, level, addition)
    if new.exists:
        complete_change(new, level)
    added = _fit(addition.conditioners, songs, registry)
    shape = prior_shape(old.config, level)
    outputs = {name: _unconditional_output(each, shape) for name, each in added.items()}
    config = extended_config(old.config.priors[level], addition, outputs)
    if new.exists and new.config.priors[level] == config:
        return
    with _new_or_existing(old, new, level) as target:
        whole = with_prior((new if new.exists else old).config, level, config)
        torch.manual_seed(seed)
        prior = build_prior(whole, level, {**load_conditioners(old, level, registry), **added})
        _write_weights(old, target, level, prior, added)
        _write_fitted(old, target, level, added, registry)
        target.write_config(whole)


def _fit(
    options: Mapping[str, Options], songs: Sequence[Song], registry: Registry
) -> dict[str, Conditioner]:
    return {
        name: fit_conditioner(registry.make_conditioner(name, values), songs)
        for name, values in options.items()
    }


def extended_config(
    config: PriorConfig, addition: Addition, outputs: Mapping[str, Conditioning]
) -> PriorConfig:
    """The config of a prior after the addition, given an output of each new conditioner.

    InputError for a prefix, or for a memory if the prior already has one.
    """
    patterns = [
        config.attention_patterns[i % len(config.attention_patterns)] for i in range(config.depth)
    ]
    _require_extendable(outputs, has_memory="cross_attention" in patterns)
    layers: list[int] = []
    if any(output.memory is not None for output in outputs.values()):
        layers = spread_layers(config.depth, addition.num_cross_attention_layers)
    for layer in layers:
        patterns.insert(layer, "cross_attention")
    scale_depth = config.residual_scale_depth or config.depth if config.residual_scale else None
    projected = (name for name, output in outputs.items() if _needs_projection(output))
    return replace(
        config,
        depth=len(patterns),
        attention_patterns=tuple(patterns) if layers else config.attention_patterns,
        residual_scale_depth=scale_depth,
        conditioners={**config.conditioners, **addition.conditioners},
        added_conditioners=(*config.added_conditioners, *outputs),
        zero_projections=(*config.zero_projections, *projected),
        added_layers=tuple(layers) if layers else config.added_layers,
    )


def _needs_projection(output: Conditioning) -> bool:
    return output.start is not None or output.per_token is not None


def _require_extendable(outputs: Mapping[str, Conditioning], has_memory: bool) -> None:
    for name, output in outputs.items():
        if output.prefix is not None:
            raise InputError(
                f"'{name}' makes a prefix, which can't be added to a trained prior",
                "set its options so that it makes a memory instead",
            )
        if output.memory is not None:
            if has_memory:
                raise InputError(
                    f"'{name}' makes a memory, but the prior already attends to one",
                    "train a model with both from the beginning",
                )
            has_memory = True


def spread_layers(depth: int, count: int) -> list[int]:
    """Indices of `count` new layers among all, spread evenly between `depth` old ones."""
    return [round(depth * (i + 1) / (count + 1)) + i for i in range(count)]


def is_added_parameter(name: str, conditioners: Collection[str], layers: Collection[int]) -> bool:
    """Whether a parameter of a prior belongs to one of these added conditioners or layers."""
    prefixes = [
        f"{group}.{conditioner}."
        for group in ("conditioners", "zero_projections")
        for conditioner in conditioners
    ]
    prefixes += [f"transformer.layers.{layer}." for layer in layers]
    return name.startswith(tuple(prefixes))


def _unconditional_output(conditioner: Conditioner, shape: PriorShape) -> Conditioning:
    """A conditioner's output for a song without any values."""
    length = shape.context_length * shape.hop_length
    name, window = conditioner.name, Window(0, length, length)
    arrays = arrays_to_device(encode_window({name: conditioner}, [{}], window, shape), "cpu")[name]
    with torch.inference_mode():
        network = make_module(conditioner, shape)
        return run_module(name, network, arrays, shape.context_length, shape.width)


def _write_weights(
    old: Model, new: Model, level: int, prior: Prior, added: Collection[str]
) -> None:
    weights = index_tensors(old.weights(f"prior-{level}"))
    layers = set(prior.config.added_layers) - set(old.config.priors[level].added_layers)
    extended = _extended_weights(prior, weights, added, layers)
    stream_tensors(new.weights(f"prior-{level}"), extended)


def _write_fitted(
    old: Model, new: Model, level: int, added: Mapping[str, Conditioner], registry: Registry
) -> None:
    fitted = {name: asdict(conditioner) for name, conditioner in added.items()}
    new.write_fitted_conditioners(
        level,
        {**old.fitted_conditioners(level), **fitted},
        {**old.conditioner_packages(level), **registry.packages_of(added)},
    )


def _extended_weights(
    prior: Prior, old: Mapping[str, StoredTensor], added: Collection[str], layers: Collection[int]
) -> dict[str, Callable[[], Tensor]]:
    """The weights of the extended prior: the old ones under their new names, and new ones."""
    dtype = next(iter(old.values())).storage.dtype
    weights: dict[str, Callable[[], Tensor]] = {}
    for name, tensor in prior.state_dict().items():
        if is_added_parameter(name, added, layers):
            weights[name] = _initial_weight(name, tensor, layers).to(dtype).clone
        else:
            weights[name] = old[_original_name(name, layers)]
    return weights


def _initial_weight(name: str, tensor: Tensor, layers: Collection[int]) -> Tensor:
    """A new weight before training: zero for the output projections of new layers."""
    outputs = [f"transformer.layers.{n}.{p}." for n in layers for p in ("attention.out", "mlp_out")]
    return torch.zeros_like(tensor) if name.startswith(tuple(outputs)) else tensor


def _original_name(name: str, layers: Collection[int]) -> str:
    """The name of a weight before new layers were inserted."""
    if not name.startswith("transformer.layers."):
        return name
    _, _, number, rest = name.split(".", 3)
    original = int(number) - sum(layer < int(number) for layer in layers)
    return f"transformer.layers.{original}.{rest}"


def _require_addable(old: Model, new: Model, level: int, addition: Addition) -> None:
    old.require_weights(f"prior-{level}")
    if new.exists and new.path.resolve() == old.path.resolve():
        hint = "name another folder with --model; the old model is kept as it is"
        raise InputError(f"{new.path} can't be both the old model and the new one", hint)
    fitted = old.fitted_conditioners(level)
    if present := [name for name in addition.conditioners if name in fitted]:
        raise InputError(
            f"level {level} of model '{old.name}' already has conditioner '{present[0]}'",
            "train it further with `jukebox train prior`, without --from",
        )


@contextmanager
def _new_or_existing(old: Model, new: Model, level: int) -> Iterator[Model]:
    """A model in a temporary folder to write the level to. If the block succeeds, it changes `new`
    if that exists; else it is a copy of `old` that becomes `new`. InputError if the level of `new`
    is not that of `old`."""
    if new.exists:
        _require_same_level(old, new, level)
        with changed_prior(new, level) as target:
            yield target
        return
    with new_folder(new.path) as folder:
        _copy_model(old, folder)
        yield Model(folder)


def _copy_model(old: Model, folder: Path) -> None:
    """Copies the old model's files, except those of its training. They are no links: who changes
    one model changes no other."""
    for path in sorted(old.path.iterdir()):
        if path.is_file() and path.name not in (old.log.name, "config.yaml"):
            with atomic_write(folder / path.name) as part:
                shutil.copyfile(path, part)
    Model(folder).write_config(old.config)


def _require_same_level(old: Model, new: Model, level: int) -> None:
    same = new.fingerprint() == old.fingerprint()
    if not same or new.config.priors[level] != old.config.priors[level]:
        raise InputError(
            f"{new.path} already exists, and its level {level} is not that of '{old.name}'",
            "name a new folder with --model",
        )
