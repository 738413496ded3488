"""The folder of a model, written from checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jukebox_cli.api import InputError, Registry
from jukebox_cli.api.models import (
    Model,
    ModelConfig,
    Options,
    PriorConfig,
    SamplingConfig,
    VQVAEConfig,
    tensor_shapes,
    write_model,
)

from .labels import find_labels
from .prior_layout import PriorLayout
from .vqvae_layout import autoencoder_name, vqvae_config
from .weight_files import Checkpoint, ModelCheckpoints, TensorLoader, part_errors

#: How far windows move and how tokens are sampled, as published: level 0 first.
HOP_FRACTION = (0.5, 0.5, 0.125)
TEMPERATURE = 0.99

_CARD = """# {name}

Imported from checkpoints of OpenAI's Jukebox (Dhariwal et al. 2020, arXiv 2005.00341), unchanged:
the same weights in another file format. They are OpenAI's, under the licence they came with, which
forbids commercial use.
"""


def write_imported_model(
    checkpoints: ModelCheckpoints,
    target: Path,
    registry: Registry,
    label_folders: Sequence[Path],
    on_part: Callable[[str], None],
) -> Model:
    """Check that the checkpoints fit together, then write them as a model.

    Tensors keep their precision and are in memory one at a time.

    :param label_folders: where to look for lists of artists and genres.
    :param on_part: called with the name of each part before it is written.
    :raises InputError: before anything is written, if the checkpoints are not of one model.
    """
    autoencoders, vqvae = _autoencoders(checkpoints.vqvae)
    priors = [_prior_layout(n, each, vqvae) for n, each in enumerate(checkpoints.priors)]
    with part_errors("config"):
        config = _model_config(vqvae, [p.config() for p in priors], checkpoints.hop_fraction)
    conditioners = _fitted_conditioners(priors, label_folders)
    weights = {f"vqvae-{level}": tensors for level, tensors in enumerate(autoencoders)}
    for level, prior in enumerate(priors):
        tensors = _prior_tensors(level, prior, config, conditioners[level], registry)
        weights[f"prior-{level}"] = tensors
    card = _CARD.format(name=target.name)
    return write_model(target, config, weights, conditioners, card, registry, on_part)


def _autoencoders(checkpoint: Checkpoint) -> tuple[list[dict[str, TensorLoader]], VQVAEConfig]:
    """The tensors of each level's autoencoder, complete and of the right shapes."""
    with part_errors("vqvae"):
        config = vqvae_config(checkpoint)
        levels: list[dict[str, TensorLoader]] = [{} for _ in range(config.num_levels)]
        for name, load in checkpoint.tensors.items():
            if found := autoencoder_name(name, config):
                level, new_name = found
                levels[level][new_name] = load
        parts = [f"vqvae-{level}" for level in range(config.num_levels)]
        shapes = [tensor_shapes(ModelConfig(vqvae=config), part) for part in parts]
    for part, tensors, expected in zip(parts, levels, shapes, strict=True):
        _require_shapes(tensors, expected, part)
    return levels, config


def _prior_layout(level: int, checkpoint: Checkpoint, vqvae: VQVAEConfig) -> PriorLayout:
    with part_errors(f"prior-{level}"):
        layout = PriorLayout(checkpoint, level, vqvae.codebook_size)
        layout.config()  # an error now, if its hyperparameters describe no prior
    return layout


def _model_config(
    vqvae: VQVAEConfig, priors: Sequence[PriorConfig], hop_fraction: tuple[float, ...]
) -> ModelConfig:
    hop_fraction = hop_fraction or (*HOP_FRACTION[: vqvae.num_levels - 1], HOP_FRACTION[-1])
    options = ({"temperature": TEMPERATURE},) * vqvae.num_levels
    return ModelConfig(
        description="Imported from OpenAI's Jukebox.",
        vqvae=vqvae,
        priors=tuple(priors),
        sampling=SamplingConfig(hop_fraction, options),
    )


def _fitted_conditioners(
    priors: Sequence[PriorLayout], label_folders: Sequence[Path]
) -> dict[int, dict[str, Options]]:
    """The fields of each level's conditioners, by level and name."""
    found = {}
    for level, prior in enumerate(priors):
        fields = prior.conditioners(find_labels(label_folders, prior.label_set))
        if prior.label_set != priors[-1].label_set:  # names of the top level may be unknown here
            for name in fields.keys() & {"artist", "genre"}:
                fields[name]["lenient"] = True
        found[level] = fields
    return found


def _prior_tensors(
    level: int,
    prior: PriorLayout,
    config: ModelConfig,
    fields: Mapping[str, Options],
    registry: Registry,
) -> dict[str, TensorLoader]:
    """The tensors of a prior, complete and of the right shapes."""
    part = f"prior-{level}"
    with part_errors(part):
        tensors = dict(prior.tensors())
        parts = {name: registry.make_conditioner(name, values) for name, values in fields.items()}
        expected = tensor_shapes(config, part, parts)
    _require_shapes(tensors, expected, part)
    return tensors


def _require_shapes(
    tensors: Mapping[str, TensorLoader], expected: Mapping[str, tuple[int, ...]], part: str
) -> None:
    """InputError if the tensors are not those of the network that the settings describe."""
    hint = "are these files of one model, and complete?"
    if missing := [name for name in expected if name not in tensors]:
        raise InputError(f"{part} lacks {missing[0]}", hint)
    for name, load in tensors.items():
        if name not in expected:
            raise InputError(f"{part} has {name}, which its settings have no place for", hint)
        shape = tuple(load().shape)
        if shape != expected[name]:
            raise InputError(f"{part}: {name} is {shape}, and should be {expected[name]}", hint)
