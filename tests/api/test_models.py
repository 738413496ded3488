"""Models in the API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jukebox_cli.api import InputError, Registry
from jukebox_cli.api.models import (
    find_model,
    iterate_windows,
    load_codec,
    load_conditioners,
    load_prior,
    pick_device,
    prior_shape,
    tensor_shapes,
    write_model,
)
from jukebox_cli.api.runs import open_run
from jukebox_cli.api.tensors import index_tensors
from jukebox_cli.storage.model import Model
from support.results import Result

CPU = torch.device("cpu")


def test_a_device_is_chosen_by_name() -> None:
    assert pick_device("cpu") == CPU
    with pytest.raises(InputError, match="no device 'mps'"):
        pick_device("mps")


def test_a_model_is_copied_tensor_by_tensor(here: Path, tiny: Model, registry: Registry) -> None:
    parts = [f"{kind}-{level}" for kind in ("vqvae", "prior") for level in range(3)]
    weights = {part: index_tensors(tiny.weights(part)) for part in parts}
    conditioners = {level: tiny.fitted_conditioners(level) for level in range(3)}
    written: list[str] = []
    copy = write_model(
        here / "copy", tiny.config, weights, conditioners, "# Copy\n", registry, written.append
    )
    assert written == parts
    assert copy.config == tiny.config
    for part in parts:
        copied = index_tensors(copy.weights(part))
        assert all(torch.equal(get(), copied[name]()) for name, get in weights[part].items())
        assert {name: get.shape for name, get in weights[part].items()} == tensor_shapes(
            tiny.config, part, load_conditioners(copy, int(part[-1]), registry)
        )
    assert find_model(str(here / "copy")).card.read_text() == "# Copy\n"
    assert prior_shape(copy.config, 2).hop_length == 16


def test_networks_are_loaded(tiny: Model, registry: Registry) -> None:
    assert load_codec(tiny, CPU).config == tiny.config.vqvae
    assert load_prior(tiny, 1, registry, CPU).config == tiny.config.priors[1]


def test_windows_of_an_item(
    here: Path, tiny: Model, registry: Registry, jukebox: Callable[..., Result]
) -> None:
    options = ("--seconds", 0.2, "--until", "tokens", "--out", "run", "--quiet")
    assert jukebox("generate", "--model", tiny.path, "--genre", "rock", *options).code == 0
    run = open_run(registry, here / "run")
    (item,) = run.items
    prior = load_prior(tiny, 1, registry, CPU)
    windows = list(iterate_windows(run, tiny, 1, item, prior))
    tokens = run.read_tokens(1, item)
    assert tokens is not None
    new = torch.cat([window.tokens[:, window.num_prompt :] for window in windows], dim=1)
    assert new[0].tolist() == tokens.tokens.tolist()
    assert [window.window.start for window in windows] == [0, 256, 512, 768, 1024, 1088]
    assert {window.window.length for window in windows} == {512}
    assert windows[0].conditioning.start is not None
    assert windows[0].conditioning.start.shape == (1, 32)
