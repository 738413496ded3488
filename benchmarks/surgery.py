"""Whether a prior says what it did when a conditioner was added to it: the largest difference of
its logits, before anything was trained."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measure import Row
from told import told
from torch import Tensor

from jukebox_cli.interfaces.conditioner import Song, Window
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.surgery import Addition, add_conditioners
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model


@dataclass(frozen=True)
class Heard:
    """The beginning of a song: its tokens at every level, its length, and what is known of it."""

    levels: Sequence[np.ndarray]  # int64 (T,) each
    samples: int
    song: Song


def surgery(
    model: Model, registry: Registry, songs: Sequence[Heard], device: torch.device
) -> list[Row]:
    """A row for each level and each conditioner that it does not have."""
    rows = []
    for level in range(len(model.config.priors)):
        before = logits(model, registry, level, songs, device)
        for name in sorted(set(registry.conditioners) - set(model.fitted_conditioners(level))):
            worst = _worst(model, registry, level, name, songs, before, device)
            what = f"surgery, level {level}, {name}: largest difference of logits"
            rows.append(Row(what, max(worst), "", min(worst), max(worst), len(worst)))
    return rows


def _worst(
    model: Model,
    registry: Registry,
    level: int,
    name: str,
    songs: Sequence[Heard],
    before: Sequence[Tensor],
    device: torch.device,
) -> list[float]:
    """The largest difference in each song, to logits before a conditioner was added."""
    with tempfile.TemporaryDirectory() as folder:
        grown = Model(Path(folder) / "grown")
        told = [heard.song for heard in songs]
        add_conditioners(model, grown, level, Addition({name: {}}), told, registry)
        after = logits(grown, registry, level, songs, device)
    return [float((a - b).abs().max()) for a, b in zip(after, before, strict=True)]


@torch.inference_mode()
def logits(
    model: Model, registry: Registry, level: int, songs: Sequence[Heard], device: torch.device
) -> list[Tensor]:
    """What a prior says of the first window of each song, told what it takes: (T, bins) each."""
    prior = load_prior(model, level, registry, device, "fp32")
    shape, hops = prior_shape(model.config, level), model.config.vqvae.hop_lengths
    parts = load_conditioners(model, level, registry)
    found = []
    for heard in songs:
        window = Window(0, shape.context_length * shape.hop_length, heard.samples)
        tokens = _tensor(heard.levels[level][: shape.context_length], device)
        above = None
        if level + 1 < len(hops):
            count = shape.context_length * hops[level] // hops[level + 1]
            above = _tensor(heard.levels[level + 1][:count], device)
        conditions = told(prior, parts, heard.song, window, shape, above)
        found.append(prior(tokens, conditions)[0].cpu())
    return found


def _tensor(codes: np.ndarray, device: torch.device) -> Tensor:  # (1, T)
    return torch.from_numpy(codes.astype(np.int64))[None].to(device)
