"""From songs to the arrays that a prior's conditioner networks take, window by window.

Without torch, so that invalid values are reported before any weights are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from jukebox_cli.config.schema import ModelConfig, Options
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model

#: Arrays by conditioner and argument name, each with a leading batch axis.
ConditionArrays = dict[str, dict[str, np.ndarray]]


def prior_shape(config: ModelConfig, level: int) -> PriorShape:
    """The sizes of a level's prior that its conditioners need to know."""
    prior, vqvae = config.priors[level], config.vqvae
    return PriorShape(
        prior.width, prior.context_length, vqvae.hop_lengths[level], vqvae.sample_rate
    )


def load_conditioners(model: Model, level: int, registry: Registry) -> dict[str, Conditioner]:
    """The fitted conditioners of a level, by name."""
    fitted: Mapping[str, Options] = model.fitted_conditioners(level)
    return {name: registry.make_conditioner(name, options) for name, options in fitted.items()}


def encode_window(
    conditioners: Mapping[str, Conditioner],
    songs: Sequence[Song],
    window: Window,
    shape: PriorShape,
) -> ConditionArrays:
    """The arrays of every conditioner for one window of each song, stacked along a batch axis."""
    per_song = {
        name: [conditioner.encode(song, window, shape) for song in songs]
        for name, conditioner in conditioners.items()
    }
    return {
        name: {key: np.stack([arrays[key] for arrays in encoded]) for key in encoded[0]}
        for name, encoded in per_song.items()
    }


def require_used_conditions(
    model: Model,
    registry: Registry,
    conditioners: Sequence[Mapping[str, Conditioner]],
    song: Song,
) -> None:
    """InputError for a value of the song that no level of the model uses.

    `conditioners` are those of each level.
    """
    used = {name for level in conditioners for name in level}
    for name, conditioner in registry.conditioners.items():
        present = [field.name for field in fields(conditioner.Input) if field.name in song]
        if present and name not in used:
            flag = "--" + present[0].replace("_", "-")
            accepted = ", ".join(sorted(used)) or "no conditions"
            raise InputError(f"model '{model.name}' has no use for {flag}", f"it takes {accepted}")
