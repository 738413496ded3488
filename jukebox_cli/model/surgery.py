"""New conditioners for a prior that is trained already (the paper's decoder pretraining, section
4.4 and appendix B.2).

What is new says nothing at first: the logits are those of before, to the bit. Into the start and
the frames it leads through a joint, a product with a matrix of zeros; a memory is looked at by new
layers whose outputs are zero. Training opens both.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
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
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import StoredTensor, index_tensors, stream_tensors


@dataclass(frozen=True)
class Addition:
    """What to give to a prior: conditioners by name with their knobs, and how many layers look at
    the memory that one of them makes."""

    conditioners: Mapping[str, Options]
    layers: int = 1


def add_conditioners(
    old: Model,
    new: Model,
    level: int,
    addition: Addition,
    songs: Sequence[Song],
    registry: Registry,
    seed: int = 0,
) -> None:
    """Makes `new` the model `old` with more conditioners at a level, fitted to songs.

    What was done already is kept, so that other levels can follow, and training can go on.
    InputError for what can't be added.
    """
    _require_addable(old, new, level, addition)
    before = load_conditioners(old, level, registry)
    parts = {
        n: fit_conditioner(registry.make_conditioner(n, k), songs)
        for n, k in addition.conditioners.items()
    }
    shape = prior_shape(old.config, level)
    made = {name: _unconditional_output(part, shape) for name, part in parts.items()}
    config = extended_config(old.config.priors[level], addition, made)
    if new.exists and new.config.priors[level] == config:
        return
    if new.exists:
        _require_same_level(old, new, level)
    else:
        _copy_model(old, new)
    priors = list(new.config.priors)
    priors[level] = config
    whole = replace(new.config, priors=tuple(priors))
    torch.manual_seed(seed)
    prior = build_prior(whole, level, {**before, **parts})
    weights = index_tensors(old.weights(f"prior-{level}"))
    layers = set(config.added_layers) - set(old.config.priors[level].added_layers)
    stream_tensors(
        new.weights(f"prior-{level}"), _extended_weights(prior, weights, list(parts), layers)
    )
    new.write_fitted_conditioners(
        level,
        {**old.fitted_conditioners(level), **{n: asdict(p) for n, p in parts.items()}},
        {**old.conditioner_packages(level), **registry.packages_of(parts)},
    )
    new.write_config(whole)


def extended_config(
    config: PriorConfig, addition: Addition, made: Mapping[str, Conditioning]
) -> PriorConfig:
    """The config of a prior with what is added; `made` is what each new conditioner makes."""
    layers = [
        config.attention_patterns[n % len(config.attention_patterns)] for n in range(config.depth)
    ]
    places: list[int] = []
    for name, each in made.items():
        if each.prefix is not None:
            hint = "add it in another form, such as memory"
            raise InputError(f"'{name}' goes before the music, which moves all of it", hint)
        if each.memory is not None and ("cross_attention" in layers or places):
            hint = "train a model with both from the beginning"
            raise InputError(f"'{name}' makes a memory, and the prior has one already", hint)
        if each.memory is not None:
            places = spread_layers(config.depth, addition.layers)
    for place in places:
        layers.insert(place, "cross_attention")
    return replace(
        config,
        depth=len(layers),
        attention_patterns=tuple(layers) if places else config.attention_patterns,
        residual_scale_depth=config.residual_scale_depth or config.depth
        if config.residual_scale
        else None,
        conditioners={**config.conditioners, **addition.conditioners},
        added_conditioners=(*config.added_conditioners, *made),
        zero_projections=(
            *config.zero_projections,
            *(name for name, each in made.items() if _needs_projection(each)),
        ),
        added_layers=tuple(places) if places else config.added_layers,
    )


def _needs_projection(made: Conditioning) -> bool:
    return made.start is not None or made.per_token is not None


def spread_layers(depth: int, count: int) -> list[int]:
    """Where new layers stand among all of them, evenly between the old ones."""
    return [round(depth * (n + 1) / (count + 1)) + n for n in range(count)]


def is_added_parameter(name: str, added: Collection[str], layers: Collection[int]) -> bool:
    """Whether a parameter of a prior is of these conditioners or of these layers."""
    parts = [f"{kind}.{each}." for kind in ("conditioners", "zero_projections") for each in added]
    parts += [f"transformer.layers.{n}." for n in layers]
    return name.startswith(tuple(parts))


def _unconditional_output(part: Conditioner, shape: PriorShape) -> Conditioning:
    """What a conditioner makes of a song that says nothing."""
    window = Window(
        0, shape.context_length * shape.hop_length, shape.context_length * shape.hop_length
    )
    arrays = arrays_to_device(encode_window({"it": part}, [{}], window, shape), "cpu")["it"]
    with torch.inference_mode():
        module = make_module(part, shape)
        return run_module(part.name, module, arrays, shape.context_length, shape.width)


def _extended_weights(
    prior: Prior, old: Mapping[str, StoredTensor], names: Collection[str], layers: Collection[int]
) -> dict[str, Callable[[], Tensor]]:
    """The weights of a grown prior: those that there were, at their new places, and new ones."""
    kind = next(iter(old.values())).storage.dtype
    weights: dict[str, Callable[[], Tensor]] = {}
    for name, tensor in prior.state_dict().items():
        if is_added_parameter(name, names, layers):
            weights[name] = _initial_weight(name, tensor, layers).to(kind).clone
        else:
            weights[name] = old[_original_name(name, layers)]
    return weights


def _initial_weight(name: str, tensor: Tensor, layers: Collection[int]) -> Tensor:
    """A new weight as it begins: zero, where it is the last of a new layer's."""
    last = [f"transformer.layers.{n}.{p}." for n in layers for p in ("attention.out", "mlp_out")]
    return torch.zeros_like(tensor) if name.startswith(tuple(last)) else tensor


def _original_name(name: str, layers: Collection[int]) -> str:
    """What a weight was called before new layers came between."""
    if not name.startswith("transformer.layers."):
        return name
    _, _, number, rest = name.split(".", 3)
    former = int(number) - sum(place < int(number) for place in layers)
    return f"transformer.layers.{former}.{rest}"


def _require_addable(old: Model, new: Model, level: int, addition: Addition) -> None:
    old.require_weights(f"prior-{level}")
    if new.exists and new.path.resolve() == old.path.resolve():
        hint = "name another folder with --model; the old one stays as it is"
        raise InputError(f"{new.path} can't be both the old model and the new one", hint)
    has = old.fitted_conditioners(level)
    if known := [name for name in addition.conditioners if name in has]:
        hint = "train it further with `jukebox train prior`, without --from"
        raise InputError(f"level {level} of model '{old.name}' has '{known[0]}' already", hint)


def _require_same_level(old: Model, new: Model, level: int) -> None:
    same = new.fingerprint() == old.fingerprint()
    if not same or new.config.priors[level] != old.config.priors[level]:
        what = f"{new.path} is there already, and its level {level} is not that of '{old.name}'"
        raise InputError(what, "name a new folder with --model")


def _copy_model(old: Model, new: Model) -> None:
    """The old model's files, but for what training left. They are linked where that can be: a file
    of a model is never changed, only replaced."""
    new.path.mkdir(parents=True, exist_ok=True)
    for path in sorted(old.path.iterdir()):
        if path.is_file() and path.name not in (old.log.name, "config.yaml"):
            _copy_file(path, new.path / path.name)
    new.write_config(old.config)


def _copy_file(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
