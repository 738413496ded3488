"""The conditioner: one energy for a song, or two that it moves between.

read     "calm..full", "0.2..0.9" or 0.5  ->  {"energy": [0.0, 1.0]}
fit      the lowest and the highest energy of the corpus become fields
encode   a window's place in the song  ->  the energy at each of its tokens
module   energies  ->  vectors that are added to the prior's input at every position
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import (
    CommandOptions,
    Conditioner,
    InputError,
    PriorShape,
    Song,
    Values,
    Window,
    command_option,
    unknown_name,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import nn
    from typing_extensions import Self

#: Words that can be written instead of numbers.
WORDS = {"calm": 0.1, "steady": 0.4, "driving": 0.7, "full": 0.95}


@dataclass(frozen=True)
class Energy(Conditioner):
    """An embedding of the energy at every token, in `num_bins` bins from `low` to `high`."""

    name: ClassVar[str] = "energy"
    num_bins: int = 16  # a setting
    low: float = 0.0  # learned, as is the next
    high: float = 1.0

    @dataclass(frozen=True)
    class Input:
        energy: Annotated[
            str | None, "From 0 (calm) to 1 (full), a word, or a change such as 0.2..0.9."
        ] = None

    def __post_init__(self) -> None:
        if not 1 <= self.num_bins <= 65536:
            raise ValueError("must be from 1 to 65536")

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        value = inputs["energy"]
        parts = value if isinstance(value, (list, tuple)) else str(value).split("..")
        if len(parts) > 2:
            raise InputError(f"energy '{value}' has {len(parts)} parts", "write 0.5, or 0.2..0.9")
        energies = [parse_energy(part) for part in parts]
        return {"energy": [energies[0], energies[-1]]}

    def fit(self, songs: Sequence[Song]) -> Self:
        energies = [energy for song in songs for energy in song.get("energy") or []]
        if not energies or min(energies) == max(energies):
            return replace(self)
        return replace(self, low=min(energies), high=max(energies))

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        import numpy as np

        first, last = song.get("energy") or (0.0, 0.0)
        positions = np.arange(shape.context_length) / shape.context_length
        elapsed = np.clip((window.start + window.length * positions) / window.total, 0, 1)
        return {
            "energy": (first + (last - first) * elapsed).astype(np.float32),
            "is_given": np.array([bool(song.get("energy"))]),
        }

    def module(self, shape: PriorShape) -> nn.Module:
        from jukebox_energy.network import EnergyEmbedding

        return EnergyEmbedding(self.num_bins, self.low, self.high, shape.width)

    def describe(self, song: Song) -> dict[str, str]:
        if not song.get("energy"):
            return {}
        first, last = song["energy"]
        return {"energy": f"{first:g}" if first == last else f"from {first:g} to {last:g}"}

    def to_options(self, song: Song) -> CommandOptions:
        if not song.get("energy"):
            return CommandOptions()
        first, last = song["energy"]
        text = f"{first:g}" if first == last else f"{first:g}..{last:g}"
        return CommandOptions((command_option("energy", text),))


def parse_energy(text: object) -> float:
    """A word or a number from 0 to 1; InputError for anything else."""
    word = str(text).strip().casefold()
    if word in WORDS:
        return WORDS[word]
    try:
        energy = float(word)
    except ValueError:
        raise unknown_name("energy", word, list(WORDS)) from None
    if not 0 <= energy <= 1:
        raise InputError(f"energy must be from 0 to 1, not {energy:g}", "try 0.5")
    return energy
