"""Priors of the published sizes with random weights, made on a device without a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jukebox_plugins.openai.labels import Labels
from jukebox_plugins.openai.model_folder import HOP_FRACTION
from jukebox_plugins.openai.prior_layout import PriorLayout
from jukebox_plugins.openai.vqvae_layout import vqvae_config
from jukebox_plugins.openai.weight_files import Checkpoint
from prior_inputs import condition_window
from published_sizes import TOPS, UPSAMPLER, VQVAE
from torch import Tensor

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.config.token_grid import TokenGrid
from jukebox_cli.interfaces.conditioner import Conditioner, Song, Window
from jukebox_cli.model.condition_inputs import prior_shape
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.windows import TokenWindow

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import originals

#: With --quick: settings of the original program that make a prior small.
SMALL_TOP = {"prior_width": 64, "prior_depth": 20, "prime_width": 32, "prime_depth": 2}
SMALL = {"n_ctx": 64, "blocks": 8, "n_tokens": 16, "prime_blocks": 4, "y_bins": (5, 7)}
SMALL |= {"prior_width": 32, "prior_depth": 3, "cond_width": 8, "cond_depth": 2}
#: Standard deviation of random weights.
STD = 0.02
#: Length of the song whose first window is sampled, in seconds.
SONG_SECONDS = 240.0


@dataclass(frozen=True)
class Shape:
    """A published prior: its level, and the original program's settings of it."""

    name: str
    level: int
    settings: Mapping[str, Any]

    def small(self) -> Shape:
        """The same with small sizes, as a test."""
        sizes = SMALL | (SMALL_TOP if self.level == 2 else {})
        changed = {key: value for key, value in sizes.items() if key in self.settings}
        return Shape(self.name, self.level, {**self.settings, **changed})


#: The smallest first. The upsamplers are those of both models.
SHAPES = (
    Shape("level 0", 0, {**UPSAMPLER, "cond_res_scale": False}),
    Shape("1b_lyrics, top", 2, TOPS["1b_lyrics"]),
    Shape("5b_lyrics, top", 2, TOPS["5b_lyrics"]),
    Shape("level 1", 1, {**UPSAMPLER, "cond_res_scale": True}),
)


class ShapedPrior:
    """A prior of a published size on a device, with the conditions of a song without any."""

    def __init__(
        self, shape: Shape, registry: Registry, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.shape, self.level, self.device = shape, shape.level, device
        layout = _layout(shape)
        fields = layout.conditioners(Labels())
        self.conditioners: dict[str, Conditioner] = {
            name: registry.make_conditioner(name, values) for name, values in fields.items()
        }
        vqvae = vqvae_config(Checkpoint(_meta_tensors(originals.vqvae_shapes(VQVAE)), VQVAE))
        config = layout.config()
        self.config = ModelConfig(vqvae=vqvae, priors=(config,) * vqvae.num_levels)
        self.prior = random_prior(self.config, self.level, self.conditioners, device, dtype)

    @property
    def grid(self) -> TokenGrid:
        return self.config.vqvae.token_grid

    @property
    def context_length(self) -> int:
        return self.prior.config.context_length

    @property
    def hop_fraction(self) -> float:
        """How far the windows of the published models move at this level."""
        return float(HOP_FRACTION[self.level])

    def song_conditions(self, song: Song) -> SongConditions:
        return SongConditions(self, song)


class SongConditions:
    """A `sampler.WindowConditioner` of one song, over tokens of the level above that are 0."""

    def __init__(self, shaped: ShapedPrior, song: Song) -> None:
        self.shaped, self.song = shaped, song

    @torch.inference_mode()
    def conditioning(self, window: TokenWindow) -> Conditioning:
        shaped = self.shaped
        grid, level = shaped.grid, shaped.level
        shape = prior_shape(shaped.config, level)
        samples = grid.num_samples(level, shaped.context_length)
        start = grid.num_samples(level, window.start)
        audio = Window(start, samples, round(SONG_SECONDS * shape.sample_rate))
        count = shaped.context_length // grid.ratio(level)
        upper = torch.zeros(1, count, dtype=torch.int64, device=shaped.device)
        return condition_window(
            shaped.prior,
            shaped.conditioners,
            self.song,
            audio,
            shape,
            None if level == grid.top_level else upper,
        )


def random_prior(
    config: ModelConfig,
    level: int,
    conditioners: Mapping[str, Conditioner],
    device: torch.device,
    dtype: torch.dtype,
) -> Prior:
    """A prior whose weights are drawn on a device. As when it is loaded, those of the conditioners
    are fp32."""
    with device:
        prior = build_prior(config, level, conditioners, on_meta=True)
    draw = partial(_random_weight, device=device, dtype=dtype)
    torch.manual_seed(0)
    weights = {
        name: draw(name, tensor) for name, tensor in prior.state_dict().items() if tensor.is_meta
    }
    prior.load_state_dict(weights, strict=False, assign=True)
    prior.to(device)  # what the conditioners keep beside their weights
    return prior.requires_grad_(False).eval()


def _random_weight(name: str, like: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Normal, but norms and biases as they are before training."""
    weight = torch.empty(like.shape, device=device, dtype=dtype)
    if name.endswith("bias"):
        return weight.zero_()
    return weight.fill_(1.0) if name.endswith("norm.weight") else weight.normal_(std=STD)


def _layout(shape: Shape) -> PriorLayout:
    """What importing finds out about a checkpoint of this shape."""
    shapes = originals.prior_shapes(shape.settings, VQVAE, shape.level)
    return PriorLayout(Checkpoint(_meta_tensors(shapes), shape.settings), shape.level, 2048)


def _meta_tensors(shapes: originals.Shapes) -> dict[str, Any]:
    return {name: partial(torch.empty, size, device="meta") for name, size in shapes.items()}
