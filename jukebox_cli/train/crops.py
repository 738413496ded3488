"""Training one level's autoencoder on crops of songs (paper, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.audio.io import duration_seconds, read_crop
from jukebox_cli.interfaces.errors import InputError


@dataclass(frozen=True)
class Crops:
    """Random stretches of audio files: batch `step` is a pure function of `seed` and `step`."""

    paths: tuple[Path, ...]
    seconds: tuple[float, ...]
    length: int  # samples
    sample_rate: int
    seed: int = 0

    @classmethod
    def of(cls, paths: Sequence[Path], length: int, sample_rate: int, seed: int = 0) -> Crops:
        if not paths:
            raise InputError("no audio to train on", "name audio files, folders or a manifest")
        return cls(
            tuple(paths), tuple(duration_seconds(p) for p in paths), length, sample_rate, seed
        )

    def batch(self, step: int, size: int) -> Tensor:
        """(size, 1, length). A file is as likely as it is long."""
        random = np.random.default_rng((self.seed, step))
        share = np.array(self.seconds) / sum(self.seconds)
        picks = random.choice(len(self.paths), size, p=share)
        crops = [
            read_crop(self.paths[i], float(random.random()), self.length, self.sample_rate)
            for i in picks
        ]
        return torch.from_numpy(np.stack(crops))[:, None]
