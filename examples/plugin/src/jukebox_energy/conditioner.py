"""The conditioner: one number for a song, or two that it moves between.

read     "calm..full", "0.2..0.9" or 0.5  ->  {"energy": [0.0, 1.0]}
fit      the least and the greatest energy of the corpus become fields
encode   a window's place in the song  ->  the energy at each of its frames
module   energies  ->  vectors that join the prior's input at every frame
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import Conditioner, InputError, PriorShape, Song, Values, Window, unknown_name

if TYPE_CHECKING:
    import numpy as np
    from torch import nn
    from typing_extensions import Self

#: Words that may stand for numbers.
WORDS = {"calm": 0.1, "steady": 0.4, "driving": 0.7, "full": 0.95}


@dataclass(frozen=True)
class Energy(Conditioner):
    """An embedding of the energy at every frame, in `bins` steps from `low` to `high`."""

    name: ClassVar[str] = "energy"
    bins: int = 16  # a knob, for presets
    low: float = 0.0  # learned, as is the next
    high: float = 1.0

    @dataclass(frozen=True)
    class Input:
        energy: Annotated[
            str | None, "From 0 (calm) to 1 (full), a word, or a change such as 0.2..0.9."
        ] = None

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        said = given["energy"]
        parts = said if isinstance(said, (list, tuple)) else str(said).split("..")
        if len(parts) > 2:
            raise InputError(f"energy '{said}' has {len(parts)} parts", "say 0.5, or 0.2..0.9")
        levels = [number(part) for part in parts]
        return {"energy": [levels[0], levels[-1]]}

    def fit(self, songs: Sequence[Song]) -> Self:
        seen = [level for song in songs for level in song.get("energy") or []]
        if not seen or min(seen) == max(seen):
            return replace(self)
        return replace(self, low=min(seen), high=max(seen))

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        import numpy as np

        first, last = song.get("energy") or (0.0, 0.0)
        frames = np.arange(shape.context_length) / shape.context_length
        elapsed = np.clip((window.start + window.length * frames) / window.total, 0, 1)
        return {
            "energy": (first + (last - first) * elapsed).astype(np.float32),
            "said": np.array([bool(song.get("energy"))]),
        }

    def module(self, shape: PriorShape) -> nn.Module:
        from jukebox_energy.network import EnergyEmbedding

        return EnergyEmbedding(self.bins, self.low, self.high, shape.width)


def number(said: object) -> float:
    """A word or a number from 0 to 1; InputError for anything else."""
    word = str(said).strip().casefold()
    if word in WORDS:
        return WORDS[word]
    try:
        level = float(word)
    except ValueError:
        raise unknown_name("energy", word, list(WORDS)) from None
    if not 0 <= level <= 1:
        raise InputError(f"energy must be from 0 to 1, not {level:g}", "try 0.5")
    return level
