"""artist: whose manner to play in, one of those the model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import (
    Conditioner,
    InputError,
    PriorShape,
    Song,
    Values,
    Window,
    hookimpl,
    lookup_id,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import nn
    from typing_extensions import Self


@dataclass(frozen=True)
class Artist(Conditioner):
    """One embedding an artist, added to the first input. Id 0 is 'not said'."""

    name: ClassVar[str] = "artist"
    lenient: bool = False  # one that is not known counts as not said; another level knows it
    names: tuple[str, ...] = ()  # learned
    aliases: dict[str, str] = field(
        default_factory=dict
    )  # other names, and whom of `names` they mean

    @dataclass(frozen=True)
    class Input:
        artist: Annotated[str | None, "Artist to play like."] = None

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        said = given.get("artist")
        if not isinstance(said, str):
            raise InputError(f"can't read artist {said!r}", "write a name, in quotes")
        return {"artist": said.strip()}

    def fit(self, songs: Sequence[Song]) -> Self:
        return replace(self, names=tuple(sorted({s["artist"] for s in songs if s.get("artist")})))

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        import numpy as np

        return {"ids": np.array([self.number(song.get("artist"))], dtype=np.int64)}

    def number(self, artist: str | None) -> int:
        """The id of a name, whatever its case; InputError when the model does not know it."""
        if not artist:
            return 0
        return lookup_id("artist", artist, self.names, self.aliases, lenient=self.lenient)

    def module(self, shape: PriorShape) -> nn.Module:
        from jukebox_cli.api.nn import StartEmbedding

        return StartEmbedding(1 + len(self.names), shape.width)


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Artist]
