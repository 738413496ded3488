"""genre: one or several of the genres that the model was trained on, mixed evenly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import Conditioner, InputError, PriorShape, Song, Values, Window, hookimpl

from .labels import LabelConditioner

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Genre(LabelConditioner):
    """A bag of genres: the sum of their embeddings is added at the start position."""

    name: ClassVar[str] = "genre"
    #: Most genres that one song may have.
    max_genres: int = 5
    #: Whether a genre of several words, such as "hard rock", is looked up word by word.
    split_words: bool = False

    @dataclass(frozen=True)
    class Input:
        genre: Annotated[str | None, "Genre, or several separated by commas."] = None

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        genre = inputs.get("genre")
        genres = genre.split(",") if isinstance(genre, str) else genre
        if not isinstance(genres, (list, tuple)) or not all(isinstance(g, str) for g in genres):
            hint = "write genres separated by commas, in quotes"  # YAML takes `no` for false
            raise InputError(f"can't read genre {genre!r}", hint)
        return {"genre": [g.strip() for g in genres if g.strip()]}

    def labels(self, song: Song) -> Sequence[str]:
        return song.get("genre") or []

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """`ids`, int64 (max_genres,): the ids of the genres, then -1.

        Raises InputError for an unknown genre or too many genres, unless `lenient`.
        """
        import numpy as np

        genres = self.labels(song)
        if self.split_words:
            genres = [word for genre in genres for word in re.findall(r"[^\W_]+", genre)]
        known = [number for genre in genres if (number := self.label_id(genre))]
        if len(known) > self.max_genres and not self.lenient:
            raise InputError(f"{len(known)} genres are too many", f"give {self.max_genres} at most")
        ids = np.full(self.max_genres, -1, dtype=np.int64)
        ids[: len(known)] = known[: self.max_genres]
        if not known:
            ids[0] = 0
        return {"ids": ids}


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Genre]
