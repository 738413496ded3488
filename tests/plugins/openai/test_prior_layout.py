"""Priors: their settings and conditioners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.registry import Registry
from support import originals
from support.imported import import_checkpoints
from support.originals import SINGLE, TOP
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("top", [TOP, SINGLE], ids=["encoder", "one sequence"])
def test_settings_are_converted(
    top: dict[str, Any], merged: bool, scale: bool, here: Path, registry: Registry
) -> None:
    settings = {**top, "merged_decoder": merged, "res_scale": scale}
    config = import_checkpoints(
        originals.write(here / "checkpoints", settings), registry
    ).config.priors[2]
    assert isinstance(config, PriorConfig)
    assert (config.tie_embeddings, config.residual_scale, config.final_norm) == (
        not merged,
        scale,
        False,
    )
    assert config.context_length == 64
    assert config.prefix_length == (8 if top is SINGLE else 0)


def test_label_sets_differ_in_genres_and_characters(here: Path, registry: Registry) -> None:
    second = import_checkpoints(
        originals.write(here / "second", TOP), registry, "a"
    ).fitted_conditioners(2)
    small = {**SINGLE, "max_bow_genre_size": 1, "n_vocab": 79}
    third = import_checkpoints(
        originals.write(here / "third", small), registry, "b"
    ).fitted_conditioners(2)
    assert (second["genre"]["max_genres"], second["genre"]["split_words"]) == (5, True)
    assert (third["genre"]["max_genres"], third["genre"]["split_words"]) == (1, False)
    assert len(second["lyrics"]["charset"]) == 79
    assert len(third["lyrics"]["charset"]) == 78
    assert set(second["lyrics"]["charset"]) - set(third["lyrics"]["charset"]) == {"+"}
    assert (second["lyrics"]["form"], third["lyrics"]["form"]) == ("cross_attention", "prefix")


def test_the_alignment_head_is_kept(here: Path, registry: Registry) -> None:
    known = import_checkpoints(originals.write(here / "a", TOP), registry, "imported-a")
    assert known.fitted_conditioners(2)["lyrics"]["alignment_head"] == [9, 1]
    unknown = {**TOP, "alignment_layer": None, "alignment_head": None}
    model = import_checkpoints(originals.write(here / "b", unknown), registry, "imported-b")
    assert model.fitted_conditioners(2)["lyrics"]["alignment_head"] is None
