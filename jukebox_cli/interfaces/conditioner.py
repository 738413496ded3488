"""What a plugin author needs, and nothing else: no torch, no numpy.

A *conditioner* steers a prior (artist, genre, lyrics ...). A *sampler* turns logits into the
distribution a token is drawn from; a *guide* is one that also sees them where nothing is told. All
are frozen dataclasses, so that their fields can become flags, YAML keys and a file beside the
weights without being written down twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from torch import nn
    from typing_extensions import Self


#: What one conditioner keeps of what a person said: plain JSON that stands alone.
Values = dict[str, Any]


#: The values of every conditioner, merged: what a person asked for.
Song = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """The stretch of a song one forward pass sees, in audio samples at the model's rate."""

    start: int
    length: int
    total: int


@dataclass(frozen=True)
class PriorShape:
    """The prior a conditioner feeds: channels, tokens per window, samples per token, rate in Hz."""

    width: int
    context_length: int
    hop_length: int
    sample_rate: int


@dataclass(frozen=True)
class Conditioner(ABC):
    """Something that steers a prior.

    Its fields are knobs set in a preset plus whatever `fit` learned; they are saved with the
    model as JSON and given back to the constructor.
    """

    name: ClassVar[str]

    @dataclass(frozen=True)
    class Input:
        """What a person may say. Each field is a flag of `generate` and `continue` and a
        manifest column; write it `Annotated[str | None, "help"] = None`."""

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        """What was said (only the `Input` fields that were given) as JSON that stands alone.

        File contents go in, not paths; `folder` is what relative paths are relative to.
        Raises InputError. Called before any weights are loaded, also without a fitted vocabulary.
        """
        return dict(inputs)

    def fit(self, songs: Sequence[Song]) -> Self:
        """A copy that has learned its vocabulary from the songs of a corpus."""
        return replace(self)

    def augment(self, song: Song, rng: np.random.Generator) -> Song:
        """What `encode` is told of a song at one step of training, and at no other time.

        Less than is known, for instance, so that a prior learns to do with less.
        """
        return song

    @abstractmethod
    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """Arrays of fixed shape for one window; an empty song must work too.

        Pure, picklable and without torch, so that it can run in a data worker. Raises InputError
        for values this model does not know.
        """

    @abstractmethod
    def module(self, shape: PriorShape) -> nn.Module:
        """The network: `forward(**arrays)`, each with a leading batch axis, gives a Conditioning.

        Import torch inside this method.
        """
