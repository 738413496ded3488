"""From songs to the arrays of a level's conditioners."""

from __future__ import annotations

import numpy as np
import pytest

from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.model.condition_inputs import (
    encode_window,
    load_conditioners,
    prior_shape,
    require_used_conditions,
)
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.results import refusal
from support.tiny_model import LEARNED


@pytest.mark.parametrize(("level", "hop_length"), [(0, 4), (1, 8), (2, 16)])
def test_the_shape_of_a_prior_is_that_of_its_config(
    tiny: Model, level: int, hop_length: int
) -> None:
    assert prior_shape(tiny.config, level) == PriorShape(32, 64, hop_length, 8000)


def test_conditioners_are_loaded_with_what_they_were_fitted_to(
    tiny: Model, registry: Registry
) -> None:
    conditioners = load_conditioners(tiny, 2, registry)
    assert list(conditioners) == ["artist", "genre", "timing"]
    for name, conditioner in conditioners.items():
        assert conditioner == registry.make_conditioner(name, LEARNED[name])


def test_the_arrays_of_several_songs_are_stacked(tiny: Model, registry: Registry) -> None:
    conditioners, shape = load_conditioners(tiny, 2, registry), prior_shape(tiny.config, 2)
    window = Window(0, 1024, 16_000)
    songs = [{"artist": "Bo Marsh", "genre": ["rock"], "total": 2.0}, {}]
    arrays = encode_window(conditioners, songs, window, shape)
    assert list(arrays) == ["artist", "genre", "timing"]
    for name, conditioner in conditioners.items():
        for i, song in enumerate(songs):
            for key, array in conditioner.encode(song, window, shape).items():
                np.testing.assert_array_equal(arrays[name][key][i], array)
        assert all(len(array) == 2 for array in arrays[name].values())


def test_a_value_that_no_level_uses_is_an_error(tiny: Model, registry: Registry) -> None:
    levels = [load_conditioners(tiny, level, registry) for level in range(3)]
    require_used_conditions(tiny, registry, levels, {"artist": "Bo Marsh", "genre": ["rock"]})
    song = {"genre": ["rock"]}
    assert refusal(require_used_conditions, tiny, registry, levels[:1], song) == (
        "model 'tiny' has no use for --genre",
        "it takes artist",
    )
    assert refusal(require_used_conditions, tiny, registry, [], song) == (
        "model 'tiny' has no use for --genre",
        "it takes no conditions",
    )
