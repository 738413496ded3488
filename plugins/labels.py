"""What the conditioners artist and genre share: labels that are learned from a corpus."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jukebox_cli.api import Conditioner, PriorShape, Song, lookup_id

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import Self


@dataclass(frozen=True)
class LabelConditioner(Conditioner):
    """One embedding per label; those of a song's labels are added at the start position.

    Source: Dhariwal et al. 2020, "Artist, Genre, and Timing Conditioning".

    Ids are positions in `names`, counted from 1; id 0 means that no label was given.
    """

    #: Whether an unknown label counts as none instead of an error, because another level knows it.
    lenient: bool = False
    #: Fitted: the labels of the training corpus, sorted.
    names: tuple[str, ...] = ()
    #: Alternative spellings, each with the entry of `names` that it stands for.
    aliases: dict[str, str] = field(default_factory=dict)

    @abstractmethod
    def labels(self, song: Song) -> Sequence[str]:
        """The labels that a song has."""

    def fit(self, songs: Sequence[Song]) -> Self:
        return replace(self, names=tuple(sorted({n for song in songs for n in self.labels(song)})))

    def label_id(self, label: str) -> int:
        """The id of a label, ignoring case.

        An unknown label is 0 if `lenient`, otherwise InputError is raised.
        """
        return lookup_id(self.name, label, self.names, self.aliases, lenient=self.lenient)

    def module(self, shape: PriorShape) -> nn.Module:
        from jukebox_cli.api.nn import StartEmbedding

        return StartEmbedding(1 + len(self.names), shape.width)

    def vocabulary(self) -> dict[str, Sequence[str]]:
        return {self.name: self.names}
