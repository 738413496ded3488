"""A model with random weights whose level 0 is an upsampler of the published size."""

from __future__ import annotations

from pathlib import Path

import torch

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import save_tensors

#: Windows of 256 tokens instead of 8192, in rows of 64 as those: as the time is that of reading and
#: multiplying the weights, a song that is 32 times shorter shows what a whole one takes.
SCALE = 32
CONFIG = """
format: 2
vqvae:
  sample_rate: 44100
  strides: [[2, 2, 2], [2, 2]]
  codebook_size: 2048
  embedding_dim: 8
  widths: [8, 8]
  depths: [1, 1]
priors:
  - {context_length: 256, width: WIDTH, depth: DEPTH, heads: 1, rows: 4,
     attention_ratio: 0.25, mlp_ratio: 1.0, upsampler_conditioner: {width: 32, depth: 1}}
  - {context_length: 64, width: 32, depth: 2, heads: 2, rows: 4}
"""


def make_large_model(path: Path, width: int = 1920, depth: int = 72) -> Model:
    """Writes the model: 1.6 GB in fp16."""
    recipe = path.parent / "recipe.yaml"
    recipe.write_text(CONFIG.replace("WIDTH", str(width)).replace("DEPTH", str(depth)))
    model = Model(path)
    model.write_config(load_config(ModelConfig, recipe))
    torch.manual_seed(0)
    vqvae = VQVAE(model.config.vqvae)
    for number in range(model.config.vqvae.num_levels):
        save_tensors(model.weights(f"vqvae-{number}"), vqvae.level(number).state_dict())
    for number in range(len(model.config.priors)):
        model.write_fitted_conditioners(number, {})
        prior = build_prior(model.config, number, {}).half()
        save_tensors(model.weights(f"prior-{number}"), prior.state_dict())
    return model
