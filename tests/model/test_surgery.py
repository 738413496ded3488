"""Adding conditioners to a trained prior: logits are unchanged until it is trained further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.surgery import is_added_parameter, spread_layers
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.results import refusal
from support.surgery import (
    BARE,
    LYRICS,
    MIDI,
    OPTIONS,
    SONG,
    add,
    without_conditioner,
)
from support.tiny_model import TINY, make_tiny


def compute_logits(model: Model, level: int, registry: Registry) -> torch.Tensor:
    """Logits of whole windows followed by those of the first steps: (B, T + 4, K)."""
    prior = load_prior(model, level, registry, torch.device("cpu"))
    conditions = make_conditions(prior, model, level, registry)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 64, (2, 64)))
    with torch.inference_mode():
        whole = prior(tokens, conditions)
        caches = prior.make_caches(2, conditions)
        steps = [prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(4)]
    return torch.cat([whole, torch.stack(steps, dim=1)], dim=1)


def make_conditions(prior: Prior, model: Model, level: int, registry: Registry) -> Conditioning:
    """Conditions of `SONG` and of a song without any values."""
    shape = prior_shape(model.config, level)
    length = shape.context_length * shape.hop_length
    window, songs = Window(0, length, 3 * length), [SONG, {}]
    arrays = encode_window(load_conditioners(model, level, registry), songs, window, shape)
    tensors = {n: {k: torch.from_numpy(a) for k, a in e.items()} for n, e in arrays.items()}
    upper_tokens = None if level == 2 else torch.arange(64).view(2, 32)
    return prior.condition(tensors, upper_tokens)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("name", sorted(OPTIONS))
@pytest.mark.parametrize("before", ["bare", "tiny"])
def test_logits_are_unchanged_to_the_bit(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    all_plugins: Registry,
    before: str,
    name: str,
    level: int,
) -> None:
    old: Model = request.getfixturevalue(before)
    if name in old.fitted_conditioners(level):
        old = make_tiny(tmp_path / "less", all_plugins, without_conditioner(TINY, name))
    new = add(old, tmp_path / "new", level, all_plugins, {name: OPTIONS[name]})
    difference = compute_logits(old, level, all_plugins) - compute_logits(new, level, all_plugins)
    assert difference.abs().max() == 0
    assert set(new.fitted_conditioners(level)) == {*old.fitted_conditioners(level), name}


def test_conditioners_can_be_added_together_or_one_by_one(
    tmp_path: Path, all_plugins: Registry, bare: Model
) -> None:
    both = add(bare, tmp_path / "both", 2, all_plugins, {"midi": MIDI, "lyrics": LYRICS})
    more = add(both, tmp_path / "more", 2, all_plugins, {"artist": {}, "energy": {}})
    config = more.config.priors[2]
    assert config.added_conditioners == ("midi", "lyrics", "artist", "energy")
    assert config.zero_projections == ("midi", "artist", "energy")
    expected = compute_logits(bare, 2, all_plugins)
    assert torch.equal(expected, compute_logits(more, 2, all_plugins))


def test_residual_branches_keep_their_scale(tmp_path: Path, all_plugins: Registry) -> None:
    recipe = BARE.replace("depth: 3,", "depth: 3, residual_scale: true,")
    old = make_tiny(tmp_path / "scaled", all_plugins, recipe)
    new = add(old, tmp_path / "new", 2, all_plugins, {"lyrics": LYRICS}, 2)
    config = new.config.priors[2]
    assert (config.depth, config.residual_scale_depth, config.added_layers) == (5, 3, (1, 3))
    expected = compute_logits(old, 2, all_plugins)
    assert torch.equal(expected, compute_logits(new, 2, all_plugins))


@pytest.mark.parametrize(
    ("depth", "count", "expected"),
    [(6, 1, [3]), (6, 2, [2, 5]), (3, 2, [1, 3]), (1, 1, [0]), (4, 3, [1, 3, 5])],
)
def test_new_layers_are_spread_between_the_old_ones(
    depth: int, count: int, expected: list[int]
) -> None:
    assert spread_layers(depth, count) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conditioners.midi.weight", True),
        ("zero_projections.midi.weight", True),
        ("transformer.layers.3.mlp_in.weight", True),
        ("conditioners.midi_like.weight", False),
        ("transformer.layers.30.mlp_in.weight", False),
        ("token_embedding.weight", False),
    ],
)
def test_added_parameters_are_those_of_added_conditioners_and_layers(
    name: str, expected: bool
) -> None:
    assert is_added_parameter(name, ["midi"], [3]) is expected


def read_files(model: Model) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in model.path.iterdir() if path.is_file()}


def test_the_old_model_is_not_changed(tmp_path: Path, all_plugins: Registry, bare: Model) -> None:
    before = read_files(bare)
    add(bare, tmp_path / "new", 2, all_plugins, {"midi": MIDI})
    assert read_files(bare) == before


def test_an_existing_addition_is_kept(tmp_path: Path, all_plugins: Registry, bare: Model) -> None:
    new = add(bare, tmp_path / "new", 2, all_plugins, {"midi": MIDI})
    before = {path: path.stat().st_mtime_ns for path in new.path.iterdir()}
    add(bare, tmp_path / "new", 2, all_plugins, {"midi": MIDI})
    assert {path: path.stat().st_mtime_ns for path in new.path.iterdir()} == before


# errors


def test_an_invalid_addition_is_an_error(
    tmp_path: Path, all_plugins: Registry, bare: Model, tiny: Model
) -> None:
    def error(old: Model, folder: str, conditioners: Mapping[str, Any]) -> tuple[str, str | None]:
        return refusal(add, old, tmp_path / folder, 2, all_plugins, conditioners)

    assert error(tiny, "x", {"artist": {}}) == (
        "level 2 of model 'tiny' already has conditioner 'artist'",
        "train it further with `jukebox train prior`, without --from",
    )
    assert error(bare, "bare", {"artist": {}}) == (
        f"{bare.path} can't be both the old model and the new one",
        "name another folder with --model; the old model is kept as it is",
    )
    assert error(bare, "x", {"lyrics": {**LYRICS, "form": "prefix"}}) == (
        "'lyrics' makes a prefix, which can't be added to a trained prior",
        "set its options so that it makes a memory instead",
    )
    add(bare, tmp_path / "new", 2, all_plugins, {"midi": MIDI})
    assert error(bare, "new", {"artist": {}}) == (
        f"{tmp_path / 'new'} already exists, and its level 2 is not that of 'bare'",
        "name a new folder with --model",
    )
    assert not (tmp_path / "x").exists()


def test_a_second_memory_is_an_error(tmp_path: Path, all_plugins: Registry, bare: Model) -> None:
    @dataclass(frozen=True)
    class NoInput:
        pass

    class Poem(all_plugins.conditioners["lyrics"]):  # type: ignore[misc,name-defined]
        name = "poem"
        Input = NoInput

    plugin = ModuleType("poem")
    plugin.jukebox_conditioners = hookimpl(lambda: [Poem])  # type: ignore[attr-defined]
    registry = Registry({**dict(all_plugins.manager.list_name_plugin()), "poem": plugin})
    error = (
        "'poem' makes a memory, but the prior already attends to one",
        "train a model with both from the beginning",
    )
    both = {"lyrics": LYRICS, "poem": LYRICS}
    assert refusal(add, bare, tmp_path / "x", 2, registry, both) == error
    with_lyrics = add(bare, tmp_path / "with_lyrics", 2, registry, {"lyrics": LYRICS})
    assert refusal(add, with_lyrics, tmp_path / "x", 2, registry, {"poem": LYRICS}) == error
    assert not (tmp_path / "x").exists()
