"""A tiny model with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import save_tensors

#: Three levels with hops 4, 8 and 16 at 8 kHz; windows of 64 tokens.
TINY = """
format: 2
vqvae:
  sample_rate: 8000
  strides: [[4], [2], [2]]
  codebook_size: 64
  embedding_dim: 8
  widths: [8, 8, 8]
  depths: [2, 2, 2]
priors:
  - {context_length: 64, width: 32, depth: 4, heads: 2, rows: 8,
     attention_patterns: [row, column, previous, dense],
     conditioners: {artist: {}}, upsampler_conditioner: {width: 16, depth: 1}}
  - {context_length: 64, width: 32, depth: 3, heads: 2, rows: 8,
     conditioners: {artist: {}, genre: {}}, upsampler_conditioner: {width: 16, depth: 1}}
  - {context_length: 64, width: 32, depth: 3, heads: 2, rows: 8,
     conditioners: {artist: {}, genre: {}, timing: {num_bins: 16}}}
"""
LEARNED: dict[str, dict[str, Any]] = {
    "artist": {"names": ["Ada Vale", "Bo Marsh", "Cy Norton"]},
    "genre": {"max_genres": 5, "names": ["jazz", "rock"]},
    "timing": {"num_bins": 16, "min_seconds": 0.0, "max_seconds": 600.0},
}


def make_tiny(
    path: Path, registry: Registry, text: str = TINY, learned: Mapping[str, Any] = LEARNED
) -> Model:
    """Writes a tiny model with random weights, the same each time."""
    model = make_tiny_codec(path, text)
    for number, prior in enumerate(model.config.priors):
        parts = {n: registry.make_conditioner(n, learned[n]) for n in prior.conditioners}
        model.write_fitted_conditioners(number, {n: learned[n] for n in prior.conditioners})
        module = build_prior(model.config, number, parts)
        with torch.no_grad():
            for parameter in module.parameters():  # weights of size 0.02 would hardly differ
                parameter.mul_(5.0)
        save_tensors(model.weights(f"prior-{number}"), module.state_dict())
    return model


def make_tiny_codec(path: Path, text: str = TINY) -> Model:
    """Writes a tiny model whose priors have no weights yet."""
    recipe = path.parent / f"{path.name}-recipe.yaml"
    recipe.write_text(text)
    model = Model(path)
    model.write_config(load_config(ModelConfig, recipe))
    torch.manual_seed(0)
    vqvae = VQVAE(model.config.vqvae)
    for number in range(model.config.vqvae.num_levels):
        level = vqvae.level(number)
        level.codebook.vectors.normal_()
        save_tensors(model.weights(f"vqvae-{number}"), level.state_dict())
    return model
