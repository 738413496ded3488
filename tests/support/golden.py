"""The original program's results for tiny random checkpoints, and the imported models."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jukebox_plugins.openai.checkpoints import read_checkpoints
from jukebox_plugins.openai.model_folder import write_imported_model
from safetensors.torch import load_file
from torch import Tensor

from jukebox_cli.interfaces.conditioner import Song, Window
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import load_prior, load_vqvae
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.paths import ROOT

GOLDEN = Path(os.environ.get("JUKEBOX_GOLDEN") or ROOT / "tests" / "golden")


VARIANTS = ("5b", "5b_lyrics", "1b_lyrics")


LEVELS = (0, 1, 2)


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Golden:
    """An imported model and the original program's results for it."""

    name: str
    model: Model
    registry: Registry

    @cached_property
    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((GOLDEN / self.name / "info.json").read_text())
        return found

    @cached_property
    def arrays(self) -> dict[str, Tensor]:
        return load_file(GOLDEN / self.name / "expected.safetensors")

    @cached_property
    def vqvae(self) -> VQVAE:
        return load_vqvae(self.model, CPU)

    @cached_property
    def priors(self) -> list[Prior]:
        return [load_prior(self.model, level, self.registry, CPU) for level in LEVELS]

    def __getitem__(self, name: str) -> Tensor:
        array = self.arrays[name]
        return array.long() if array.dtype == torch.int32 else array

    def song(self, item: int) -> Song:
        """The song of an item. Without lists of names, artists and genres are named by their ids.

        The second item's genre is id 0, which means none.
        """
        genre, artist = self.info["genre_ids"][item], self.info["artist_ids"][item]
        return {
            "artist": str(artist),
            "genre": [str(genre)] if genre else [],
            "lyrics": self.info["lyrics"],
            "total": self.info["total_length"] / self.model.config.vqvae.sample_rate,
        }

    def conditions(self, level: int) -> Conditioning:
        """The conditions of the labels in `prior.LEVEL.y`."""
        start, length = self[f"prior.{level}.y"][0, 1:3].tolist()
        window = Window(start, length, self.info["sample_length"])
        parts = load_conditioners(self.model, level, self.registry)
        songs = [self.song(0), self.song(1)]
        arrays = encode_window(parts, songs, window, prior_shape(self.model.config, level))
        tensors = {
            name: {key: torch.from_numpy(a) for key, a in each.items()}
            for name, each in arrays.items()
        }
        above = self[f"prior.{level}.z_cond"] if level < LEVELS[-1] else None
        return self.priors[level].condition(tensors, above)

    def order_logits(self, prior: Prior, logits: Tensor) -> Tensor:
        """Logits in the original's order: characters of the prefix before codes."""
        codes, characters = logits.split(
            [prior.codebook_size, logits.shape[2] - prior.codebook_size], dim=2
        )
        return torch.cat([characters, codes], dim=2)


def import_golden(name: str, models: Path, registry: Registry) -> Golden:
    parts = read_checkpoints([GOLDEN / name])
    model = write_imported_model(parts, models / name, registry, [GOLDEN / name], lambda part: None)
    return Golden(name, model, registry)
