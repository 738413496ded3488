"""Songs -> the arrays a prior's conditioners want, window by window. No torch: bad values are
found here, before any weights are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np

from jukebox_cli.config.schema import ModelConfig, Options
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model

#: Arrays by conditioner and name, each with a leading batch axis.
ConditionArrays = dict[str, dict[str, np.ndarray]]


def prior_shape(config: ModelConfig, level: int) -> PriorShape:
    """What a level's conditioners feed."""
    prior, vqvae = config.priors[level], config.vqvae
    return PriorShape(
        prior.width, prior.context_length, vqvae.hop_lengths[level], vqvae.sample_rate
    )


def load_conditioners(model: Model, level: int, registry: Registry) -> dict[str, Conditioner]:
    """A level's conditioners with the vocabulary they learned."""
    learned: Mapping[str, Options] = model.fitted_conditioners(level)
    return {name: registry.make_conditioner(name, knobs) for name, knobs in learned.items()}


def encode_window(
    parts: Mapping[str, Conditioner], songs: Sequence[Song], window: Window, shape: PriorShape
) -> ConditionArrays:
    """One window of several songs."""
    rows = {name: [part.encode(s, window, shape) for s in songs] for name, part in parts.items()}
    return {
        name: {key: np.stack([row[key] for row in each]) for key in each[0]}
        for name, each in rows.items()
    }


def require_used_conditions(
    model: Model, registry: Registry, parts: Sequence[Mapping[str, Conditioner]], song: Song
) -> None:
    """InputError for a value that no level of the model has a use for."""
    used = {name for level in parts for name in level}
    for name, kind in registry.conditioners.items():
        given = [f.name for f in fields(kind.Input) if f.name in song]
        if given and name not in used:
            flag = "--" + given[0].replace("_", "-")
            takes = ", ".join(sorted(used)) or "no conditions"
            raise InputError(f"model '{model.name}' has no use for {flag}", f"it takes {takes}")
