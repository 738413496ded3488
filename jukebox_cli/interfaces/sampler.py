"""What a plugin author needs, and nothing else: no torch, no numpy.

A *conditioner* steers a prior (artist, genre, lyrics ...). A *sampler* turns logits into the
distribution a token is drawn from; a *guide* is one that also sees them where nothing is told. All
are frozen dataclasses, so that their fields can become flags, YAML keys and a file beside the
weights without being written down twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Sampler(ABC):
    """Shapes the distribution the next token is drawn from; the core does the drawing.

    Every field is a flag of the sampling commands, and a key of a preset's `sampling`. All fields
    must default to None, which means that the sampler is off.
    """

    name: ClassVar[str]
    #: Samplers run from the lowest order to the highest.
    order: ClassVar[int] = 50

    @abstractmethod
    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        """(B, bins) -> (B, bins), given the tokens (B, t) before; rows must not mix.

        -inf forbids a token. Must not wait for the device (`.item()`, `if tensor`).
        """


@dataclass(frozen=True)
class GuidanceSampler(Sampler):
    """A sampler that also sees what would come next were no conditioner told anything.

    It runs before those that don't, whatever its order, and makes drawing cost up to twice as much.
    """

    @property
    def needs_unconditional(self) -> bool:
        """Whether it wants to see that: at what its fields say, it may change nothing."""
        return True

    @abstractmethod
    def combine(self, cond_logits: Tensor, uncond_logits: Tensor) -> Tensor:
        """Logits (B, bins) and those of a prior that was told nothing -> (B, bins); rows must not
        mix."""

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits
