"""How a level uses its codebook, and the bits that this takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from jukebox_cli.config.schema import VQVAEConfig


@dataclass
class CodeUse:
    """Counts of codes (K,), and how many tokens a second has."""

    counts: np.ndarray
    tokens_per_second: float

    @classmethod
    def of_level(cls, config: VQVAEConfig, level: int) -> CodeUse:
        """No codes yet, of a level."""
        rate = config.sample_rate / config.hop_lengths[level]
        return cls(np.zeros(config.codebook_size, np.int64), rate)

    def add(self, tokens: np.ndarray) -> None:
        """Counts the tokens (T,) of a clip."""
        self.counts += np.bincount(tokens, minlength=len(self.counts))

    @property
    def codes_used(self) -> int:
        return int((self.counts > 0).sum())

    @property
    def bitrate(self) -> float:
        """Bit/s of tokens that take log2 K bits each, as the paper counts them."""
        return self.tokens_per_second * math.log2(len(self.counts))

    @property
    def entropy_bits(self) -> float:
        """Entropy of the codes in bits a token, from their frequencies in all clips.

        At most log2 K. Few clips show too few codes: then it is too low.
        """
        import torch

        from jukebox_cli.train.vqvae import entropy_bits

        return float(entropy_bits(torch.from_numpy(self.counts).double()))

    @property
    def entropy_bitrate(self) -> float:
        """Bit/s that an ideal entropy coder takes which knows the frequencies of codes alone."""
        return self.tokens_per_second * self.entropy_bits
