"""genre: one or several of the genres that the model was trained on, mixed evenly."""

from __future__ import annotations

import re
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
class Genre(Conditioner):
    """A bag of genres: the sum of their embeddings is added at the start position.

    Source: Dhariwal et al. 2020, "Artist, Genre, and Timing Conditioning".

    Ids are positions in `names`, counted from 1; id 0 means that no genre was given.
    """

    name: ClassVar[str] = "genre"
    #: Most genres that one song may have.
    max_genres: int = 5
    #: Whether a genre of several words, such as "hard rock", is looked up word by word.
    split_words: bool = False
    #: Whether unknown genres are ignored instead of an error, because another level knows them.
    lenient: bool = False
    #: Fitted: the genres of the training corpus, sorted.
    names: tuple[str, ...] = ()
    #: Alternative spellings, each with the entry of `names` that it stands for.
    aliases: dict[str, str] = field(default_factory=dict)

    @dataclass(frozen=True)
    class Input:
        genre: Annotated[str | None, "Genre, or several separated by commas."] = None

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        genre = inputs.get("genre") or []
        genres = genre.split(",") if isinstance(genre, str) else genre
        if not isinstance(genres, (list, tuple)) or not all(isinstance(g, str) for g in genres):
            raise InputError(f"can't read genre {genre!r}", "write genres separated by commas")
        return {"genre": [g.strip() for g in genres if g.strip()]}

    def fit(self, songs: Sequence[Song]) -> Self:
        return replace(self, names=tuple(sorted({g for s in songs for g in s.get("genre") or []})))

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """`ids`, int64 (max_genres,): the ids of the genres, then -1.

        Raises InputError for an unknown genre or too many genres, unless `lenient`.
        """
        import numpy as np

        genres = song.get("genre") or []
        if self.split_words:
            genres = [word for genre in genres for word in re.findall(r"[^\W_]+", genre)]
        known = [number for genre in genres if (number := self.genre_id(genre))]
        if len(known) > self.max_genres and not self.lenient:
            raise InputError(f"{len(known)} genres are too many", f"give {self.max_genres} at most")
        ids = np.full(self.max_genres, -1, dtype=np.int64)
        ids[: len(known)] = known[: self.max_genres]
        if not known:
            ids[0] = 0
        return {"ids": ids}

    def genre_id(self, genre: str) -> int:
        """The id of a genre, ignoring case.

        An unknown genre is 0 if `lenient`, otherwise InputError is raised.
        """
        return lookup_id("genre", genre, self.names, self.aliases, lenient=self.lenient)

    def module(self, shape: PriorShape) -> nn.Module:
        from jukebox_cli.api.nn import StartEmbedding

        return StartEmbedding(1 + len(self.names), shape.width)

    def vocabulary(self) -> dict[str, Sequence[str]]:
        return {"genre": self.names}


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Genre]
