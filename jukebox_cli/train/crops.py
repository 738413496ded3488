"""Training batches for autoencoders: random crops of recordings."""

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
    """Random crops of audio files. The batch of a step is a pure function of `seed` and `step`."""

    paths: tuple[Path, ...]
    durations: tuple[float, ...]  # seconds of each file
    length: int  # samples of a crop
    sample_rate: int  # Hz
    seed: int = 0

    @classmethod
    def from_files(
        cls, paths: Sequence[Path], length: int, sample_rate: int, seed: int = 0
    ) -> Crops:
        """Crops of `length` samples.

        Raises InputError if there are no files or one of them can't be read.
        """
        if not paths:
            raise InputError("no audio to train on", "name audio files, folders or a manifest")
        durations = tuple(duration_seconds(path) for path in paths)
        return cls(tuple(paths), durations, length, sample_rate, seed)

    def batch(self, step: int, batch_size: int) -> Tensor:
        """Crops (batch_size, 1, length), mono. Files are drawn with a probability proportional to
        their duration; a file shorter than a crop is padded with silence."""
        rng = np.random.default_rng((self.seed, step))
        probabilities = np.array(self.durations) / sum(self.durations)
        files = rng.choice(len(self.paths), batch_size, p=probabilities)
        crops = [
            read_crop(
                self.paths[i],
                float(rng.random()),
                self.length,
                self.sample_rate,
                self.durations[i],
            )
            for i in files
        ]
        return torch.from_numpy(np.stack(crops))[:, None]
