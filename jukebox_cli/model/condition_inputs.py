"""From songs to the arrays that a prior's conditioner networks take, window by window.

Without torch, so that invalid values are reported before any weights are loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

import numpy as np

from jukebox_cli.config.schema import ModelConfig, Options
from jukebox_cli.interfaces.command_options import option_flag
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.contract import (
    blocked_hint,
    blocked_plugins,
    method_error,
    plugin_errors,
)
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.plugin_calls import encode_song, require_same_shapes, stack_songs
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
    """The fitted conditioners of a level, by name. InputError if the plugin of one is absent."""
    fitted: Mapping[str, Options] = model.fitted_conditioners(level)
    require_plugins(model, level, fitted, registry)
    return {name: registry.make_conditioner(name, options) for name, options in fitted.items()}


def require_plugins(model: Model, level: int, names: Iterable[str], registry: Registry) -> None:
    """InputError if a conditioner of a level is not installed; the hint names its package."""
    packages = model.conditioner_packages(level)
    for name in names:
        if name not in registry.conditioners:
            hint = "install the plugin that provides it"
            if name in packages:
                hint = f"install {packages[name]}, which it was trained with"
            if name in blocked_plugins():
                hint = blocked_hint(name)
            raise InputError(f"model '{model.name}' needs the conditioner '{name}'", hint)


def fit_conditioner(conditioner: Conditioner, songs: Sequence[Song]) -> Conditioner:
    """A conditioner fitted to songs. PluginError if `fit` fails or returns something else."""
    with plugin_errors(conditioner, "fit"):
        fitted = conditioner.fit(songs)
    if type(fitted) is not type(conditioner):
        what = f"returned {type(fitted).__name__}, not {type(conditioner).__name__}"
        raise method_error(conditioner, "fit", what)
    return fitted


def encode_window(
    conditioners: Mapping[str, Conditioner],
    songs: Sequence[Song],
    window: Window,
    shape: PriorShape,
) -> ConditionArrays:
    """The arrays of every conditioner for one window of each song, stacked along a batch axis.

    InputError for values that the model does not know, PluginError if `encode` fails.
    """
    return {
        name: stack_songs(conditioner, [encode_song(conditioner, s, window, shape) for s in songs])
        for name, conditioner in conditioners.items()
    }


def require_same_arrays(
    conditioners: Mapping[str, Conditioner], expected: ConditionArrays, arrays: ConditionArrays
) -> None:
    """PluginError if the arrays of one window differ in shape or dtype from those of another."""
    for name, conditioner in conditioners.items():
        first, other = ({k: a[0] for k, a in each[name].items()} for each in (expected, arrays))
        require_same_shapes(conditioner, first, other)


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
            flag = option_flag(present[0])
            accepted = ", ".join(sorted(used)) or "no conditions"
            raise InputError(f"model '{model.name}' has no use for {flag}", f"it takes {accepted}")
