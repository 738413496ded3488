"""Hyperparameters, from a checkpoint or of a published model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jukebox_plugins.openai.hyperparameters import prior_hyperparameters
from jukebox_plugins.openai.weight_files import Checkpoint

from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


@pytest.mark.parametrize(
    ("level", "top", "expected"),
    [
        (0, None, {"heads": 1, "attn_order": 2, "blocks": 128, "cond_res_scale": False}),
        (1, None, {"heads": 1, "attn_order": 2, "cond_depth": 16, "cond_res_scale": True}),
        (2, (8192, 4800, 72), {"heads": 8, "merged_decoder": True, "min_duration": 60.0}),
        (2, (8192, 4800, 79), {"attn_order": 10, "n_tokens": 512, "alignment_layer": 68}),
        (2, (6528, 2048, 72), {"attn_order": 12, "labels_v3": True, "min_duration": 17.84}),
    ],
)
def test_published_models_are_known_by_their_shapes(
    level: int, top: tuple[int, int, int] | None, expected: dict[str, Any]
) -> None:
    positions, width, layers = top or (8192, 1920, 72)
    place = torch.empty(positions, width, device="meta")
    checkpoint = Checkpoint({"prior.pos_emb.pos_emb": lambda: place})
    found = prior_hyperparameters(checkpoint, level, layers)
    assert {name: found[name] for name in expected} == expected
    stated = Checkpoint(checkpoint.tensors, {"heads": 3, "min_duration": None})
    assert prior_hyperparameters(stated, level, layers)["heads"] == 3
    assert prior_hyperparameters(stated, level, layers)["min_duration"] == found["min_duration"]


def without_settings(path: Path) -> None:
    data = torch.load(path, weights_only=True)
    del data["hps"]
    torch.save(data, path)


def test_unknown_hyperparameters_are_not_guessed(checkpoints: Path, refused: Refused) -> None:
    without_settings(checkpoints / "prior_level_1.pth.tar")
    what = "it does not contain its hyperparameters (hps), and no published model has its shape"
    refused(error=f"prior-1: {what}", hint="use the file that training wrote")
    without_settings(checkpoints / "vqvae.pth.tar")
    refused(error=f"vqvae: {what}", hint="use the file that training wrote")
