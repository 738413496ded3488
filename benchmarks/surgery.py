"""Whether adding a conditioner changes a prior: the largest difference of its logits, before any
training of what was added. It should be 0."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measurements import Row
from prior_inputs import condition_window, token_batch
from torch import Tensor

from jukebox_cli.interfaces.conditioner import Song, Window
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.surgery import Addition, add_conditioners
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model


@dataclass(frozen=True)
class TokenizedSong:
    """The beginning of a song as tokens."""

    tokens: Sequence[np.ndarray]  # int64 (T,) of each level
    num_samples: int
    song: Song


def surgery_rows(
    model: Model, registry: Registry, songs: Sequence[TokenizedSong], device: torch.device
) -> list[Row]:
    """The largest logit difference for each level and each conditioner that it does not have."""
    rows = []
    for level in range(len(model.config.priors)):
        before = first_window_logits(model, registry, level, songs, device)
        for name in sorted(set(registry.conditioners) - set(model.fitted_conditioners(level))):
            with tempfile.TemporaryDirectory() as folder:
                extended = Model(Path(folder) / "extended")
                conditions = [song.song for song in songs]
                add_conditioners(model, extended, level, Addition({name: {}}), conditions, registry)
                after = first_window_logits(extended, registry, level, songs, device)
            largest = [float((a - b).abs().max()) for a, b in zip(after, before, strict=True)]
            title = f"surgery, level {level}, {name}: largest logit difference"
            rows.append(Row(title, max(largest), "", min(largest), max(largest), len(largest)))
    return rows


@torch.inference_mode()
def first_window_logits(
    model: Model,
    registry: Registry,
    level: int,
    songs: Sequence[TokenizedSong],
    device: torch.device,
) -> list[Tensor]:
    """The logits of a prior on the first window of each song: (T, vocab_size) each, on the CPU."""
    prior = load_prior(model, level, registry, device, "fp32")
    shape, hop_lengths = prior_shape(model.config, level), model.config.vqvae.hop_lengths
    conditioners = load_conditioners(model, level, registry)
    logits = []
    for song in songs:
        window = Window(0, shape.context_length * shape.hop_length, song.num_samples)
        tokens = token_batch(song.tokens[level][: shape.context_length], device)
        upper_tokens = None
        if level + 1 < len(hop_lengths):
            num_upper = shape.context_length * hop_lengths[level] // hop_lengths[level + 1]
            upper_tokens = token_batch(song.tokens[level + 1][:num_upper], device)
        conditioning = condition_window(prior, conditioners, song.song, window, shape, upper_tokens)
        logits.append(prior(tokens, conditioning)[0].cpu())
    return logits
