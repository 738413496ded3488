"""artist: which of the artists that the model was trained on the music should resemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import Conditioner, InputError, PriorShape, Song, Values, Window, hookimpl

from .labels import LabelConditioner

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Artist(LabelConditioner):
    """One artist per song."""

    name: ClassVar[str] = "artist"

    @dataclass(frozen=True)
    class Input:
        artist: Annotated[str | None, "Artist whose style to follow."] = None

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        artist = inputs.get("artist")
        if not isinstance(artist, str):
            raise InputError(f"can't read artist {artist!r}", "write a name, in quotes")
        return {"artist": artist.strip()}

    def labels(self, song: Song) -> Sequence[str]:
        artist = song.get("artist")
        return [artist] if artist else []

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """`ids`, int64 (1,): the artist's id. InputError for an unknown one, unless `lenient`."""
        import numpy as np

        return {"ids": np.array([self.label_id(n) for n in self.labels(song)] or [0], np.int64)}


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Artist]
