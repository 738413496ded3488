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

import pluggy

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from typing_extensions import Self

__all__ = [
    "Conditioner",
    "Guide",
    "InputError",
    "InputWarning",
    "Sampler",
    "Shape",
    "Song",
    "Values",
    "Window",
    "hookimpl",
]

hookimpl = pluggy.HookimplMarker("jukebox")

#: What one conditioner keeps of what a person said: plain JSON that stands alone.
Values = dict[str, Any]
#: The values of every conditioner, merged: what a person asked for.
Song = Mapping[str, Any]


class InputError(Exception):
    """Something a person can fix: shown as one line and a hint, exit code 2.

    `message` says what and where, `hint` says what to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputWarning(UserWarning):
    """Something a person should know but need not mend: `warnings.warn(InputWarning(message))`.

    Shown as one line, once.
    """


@dataclass(frozen=True)
class Window:
    """The stretch of a song one forward pass sees, in audio samples at the model's rate."""

    start: int
    length: int
    total: int


@dataclass(frozen=True)
class Shape:
    """The prior a conditioner feeds: channels, tokens per window, samples per token, rate in Hz."""

    width: int
    frames: int
    hop: int
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

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        """What was said (only the `Input` fields that were given) as JSON that stands alone.

        File contents go in, not paths; `folder` is what relative paths are relative to.
        Raises InputError. Called before any weights are loaded, also without a fitted vocabulary.
        """
        return dict(given)

    def fit(self, songs: Sequence[Song]) -> Self:
        """A copy that has learned its vocabulary from the songs of a corpus."""
        return replace(self)

    def vary(self, song: Song, random: np.random.Generator) -> Song:
        """What `encode` is told of a song at one step of training, and at no other time.

        Less than is known, for instance, so that a prior learns to do with less.
        """
        return song

    @abstractmethod
    def encode(self, song: Song, window: Window, shape: Shape) -> dict[str, np.ndarray]:
        """Arrays of fixed shape for one window; an empty song must work too.

        Pure, picklable and without torch, so that it can run in a data worker. Raises InputError
        for values this model does not know.
        """

    @abstractmethod
    def module(self, shape: Shape) -> nn.Module:
        """The network: `forward(**arrays)`, each with a leading batch axis, gives a Conditioning.

        Import torch inside this method.
        """


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
class Guide(Sampler):
    """A sampler that also sees what would come next were no conditioner told anything.

    It runs before those that don't, whatever its order, and makes drawing cost up to twice as much.
    """

    @property
    def looks(self) -> bool:
        """Whether it wants to see that: at what its fields say, it may change nothing."""
        return True

    @abstractmethod
    def guide(self, told: Tensor, untold: Tensor) -> Tensor:
        """Logits (B, bins) and those of a prior that was told nothing -> (B, bins); rows must not
        mix."""

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits
