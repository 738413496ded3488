"""genre: one or several of those the model was trained on, mixed evenly."""

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
    """A bag of up to `most` genres; their embeddings are added to the first input."""

    name: ClassVar[str] = "genre"
    max_genres: int = 5
    split_words: bool = False  # a genre such as "hard rock" is the bag of its words
    lenient: bool = False  # one that is not known counts as not said; another level knows it
    names: tuple[str, ...] = ()  # learned
    aliases: dict[str, str] = field(default_factory=dict)  # other names, and what they mean

    @dataclass(frozen=True)
    class Input:
        genre: Annotated[str | None, "Genre, or several with commas between."] = None

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        said = given.get("genre") or []
        words = said.split(",") if isinstance(said, str) else said
        if not isinstance(words, (list, tuple)) or not all(isinstance(w, str) for w in words):
            raise InputError(f"can't read genre {said!r}", "write words with commas between")
        return {"genre": [w.strip() for w in words if w.strip()]}

    def fit(self, songs: Sequence[Song]) -> Self:
        return replace(self, names=tuple(sorted({g for s in songs for g in s.get("genre") or []})))

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        import numpy as np

        words = song.get("genre") or []
        if self.split_words:
            words = [part for word in words for part in re.findall(r"[^\W_]+", word)]
        numbers = [number for word in words if (number := self.number(word))]
        if len(numbers) > self.max_genres and not self.lenient:
            raise InputError(f"{len(numbers)} genres are more than {self.max_genres}", "name fewer")
        ids = np.full(self.max_genres, -1, dtype=np.int64)
        ids[: len(numbers)] = numbers[: self.max_genres]
        if not numbers:
            ids[0] = 0
        return {"ids": ids}

    def number(self, genre: str) -> int:
        """The id of a name, whatever its case; 0 or an InputError when it is not known."""
        return lookup_id("genre", genre, self.names, self.aliases, lenient=self.lenient)

    def module(self, shape: PriorShape) -> nn.Module:
        from jukebox_cli.api.nn import StartEmbedding

        return StartEmbedding(1 + len(self.names), shape.width)


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Genre]
