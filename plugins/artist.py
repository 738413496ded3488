"""artist: which of the artists that the model was trained on the music should resemble."""

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
    """One embedding per artist, added at the start position.

    Source: Dhariwal et al. 2020, "Artist, Genre, and Timing Conditioning".

    Ids are positions in `names`, counted from 1; id 0 means that no artist was given.
    """

    name: ClassVar[str] = "artist"
    #: Whether an unknown artist counts as none instead of an error, because another level knows it.
    lenient: bool = False
    #: Fitted: the artists of the training corpus, sorted.
    names: tuple[str, ...] = ()
    #: Alternative spellings, each with the entry of `names` that it stands for.
    aliases: dict[str, str] = field(default_factory=dict)

    @dataclass(frozen=True)
    class Input:
        artist: Annotated[str | None, "Artist whose style to follow."] = None

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        artist = inputs.get("artist")
        if not isinstance(artist, str):
            raise InputError(f"can't read artist {artist!r}", "write a name, in quotes")
        return {"artist": artist.strip()}

    def fit(self, songs: Sequence[Song]) -> Self:
        return replace(self, names=tuple(sorted({s["artist"] for s in songs if s.get("artist")})))

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """`ids`, int64 (1,): the artist's id."""
        import numpy as np

        return {"ids": np.array([self.artist_id(song.get("artist"))], dtype=np.int64)}

    def artist_id(self, artist: str | None) -> int:
        """The id of an artist, ignoring case; 0 for none.

        Raises InputError for an artist that the model does not know, unless `lenient`.
        """
        if not artist:
            return 0
        return lookup_id("artist", artist, self.names, self.aliases, lenient=self.lenient)

    def module(self, shape: PriorShape) -> nn.Module:
        from jukebox_cli.api.nn import StartEmbedding

        return StartEmbedding(1 + len(self.names), shape.width)

    def vocabulary(self) -> dict[str, Sequence[str]]:
        return {"artist": self.names}


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Artist]
