"""A model folder from checkpoints of elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from jukebox_cli.api import InputError
from jukebox_cli.config.schema import ModelConfig, Options, PriorConfig, SamplingConfig, VQVAEConfig
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.vqvae import Autoencoder
from jukebox_cli.registry import Registry
from jukebox_cli.storage.files import write_text
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import stream_tensors

from . import labels, original
from .original import PriorLayout
from .weight_files import Checkpoint, Parts, about

Getters = dict[str, Callable[[], Tensor]]
Tell = Callable[[str], None]

#: How far windows move and how tokens are drawn, as published: level 0 first.
HOPS = (0.5, 0.5, 0.125)
TEMPERATURE = 0.99


def write_model(
    parts: Parts, target: Path, registry: Registry, label_folders: list[Path], tell: Tell
) -> Model:
    """Writes the folder of a model, config.yaml last: until that is there it is no model.

    Tensor by tensor, with the precision they have.
    """
    codecs, vqvae = _codecs(parts.vqvae)
    priors = [_prior(level, checkpoint, vqvae) for level, checkpoint in enumerate(parts.priors)]
    with about("config"):
        config = _config(vqvae, [prior.config() for prior in priors], parts.hops)
    knobs = [prior.learned(labels.find(label_folders, prior.label_set)) for prior in priors]
    for prior, fields in zip(priors, knobs, strict=True):
        if prior.label_set != priors[-1].label_set:  # what the top one knows it may not
            for name in fields.keys() & {"artist", "genre"}:
                fields[name]["lenient"] = True
    getters = [
        _of_prior(level, prior, config, knobs[level], registry)
        for level, prior in enumerate(priors)
    ]
    model = Model(target)
    for level, tensors in enumerate(codecs):
        tell(f"vqvae-{level}")
        stream_tensors(model.weights(f"vqvae-{level}"), tensors)
    for level, tensors in enumerate(getters):
        tell(f"prior-{level}")
        stream_tensors(model.weights(f"prior-{level}"), tensors)
        packages = registry.packages_of(knobs[level])
        model.write_fitted_conditioners(level, knobs[level], packages)
    write_text(model.card, _CARD.format(name=target.name))
    model.write_config(config)
    return model


def _codecs(checkpoint: Checkpoint) -> tuple[list[Getters], VQVAEConfig]:
    """The tensors of each level's autoencoder, all there and of the right shape."""
    with about("vqvae"):
        config = original.vqvae_config(checkpoint)
        codecs = _autoencoders(checkpoint, config)
        expected = [_empty(partial(Autoencoder, n, config)) for n in range(config.num_levels)]
    for level, tensors in enumerate(codecs):
        _refuse_misfits(tensors, expected[level], f"vqvae-{level}")
    return codecs, config


def _prior(level: int, checkpoint: Checkpoint, vqvae: VQVAEConfig) -> PriorLayout:
    with about(f"prior-{level}"):
        prior = PriorLayout(checkpoint, level, vqvae.codebook_size)
        prior.config()  # does it describe a prior?
    return prior


def _of_prior(
    level: int,
    prior: PriorLayout,
    config: ModelConfig,
    fields: dict[str, Options],
    registry: Registry,
) -> Getters:
    """The tensors of a prior, all there and of the right shape."""
    with about(f"prior-{level}"):
        tensors = dict(prior.tensors())
        chosen = {name: registry.make_conditioner(name, values) for name, values in fields.items()}
        expected = _empty(lambda: build_prior(config, level, chosen, on_meta=True))
    _refuse_misfits(tensors, expected, f"prior-{level}")
    return tensors


def _config(vqvae: VQVAEConfig, priors: list[PriorConfig], hops: tuple[float, ...]) -> ModelConfig:
    hops = hops or (*HOPS[: vqvae.num_levels - 1], HOPS[-1])
    knobs = ({"temperature": TEMPERATURE},) * vqvae.num_levels
    return ModelConfig(
        description="Imported from OpenAI's Jukebox.",
        vqvae=vqvae,
        priors=tuple(priors),
        sampling=SamplingConfig(hops, knobs),
    )


def _autoencoders(checkpoint: Checkpoint, config: VQVAEConfig) -> list[Getters]:
    levels: list[Getters] = [{} for _ in range(config.num_levels)]
    for name, get in checkpoint.tensors.items():
        if named := original.autoencoder_name(name, config):
            levels[named[0]][named[1]] = get
    return levels


def _empty(make: Callable[[], nn.Module]) -> Mapping[str, Tensor]:
    """The names and shapes of a network's tensors, without their memory."""
    with torch.device("meta"):
        return make().state_dict()


def _refuse_misfits(tensors: Getters, expected: Mapping[str, Tensor], part: str) -> None:
    """InputError when the tensors are not those of the network that the settings describe."""
    hint = "are these files of one model, and complete?"
    if missing := [name for name in expected if name not in tensors]:
        raise InputError(f"{part} lacks {missing[0]}", hint)
    for name, get in tensors.items():
        if name not in expected:
            raise InputError(f"{part} has {name}, which its settings have no place for", hint)
        there, wanted = tuple(get().shape), tuple(expected[name].shape)
        if there != wanted:
            raise InputError(f"{part}: {name} is {there}, and should be {wanted}", hint)


_CARD = """# {name}

Imported from checkpoints of OpenAI's Jukebox (Dhariwal et al. 2020, arXiv 2005.00341), unchanged:
the same weights in another file format. They are OpenAI's, under the licence they came with, which
forbids commercial use.
"""
