"""Whether a prior makes use of words: its loss on held-out songs, told their words, those of
another song, or none.

All are of the same windows, which follow each other through each song. Nothing else that a prior is
told differs.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from measure import Row
from paired import compared, mean
from told import told
from word_times import sung_words, with_words_at_times, with_words_of, without_words

from jukebox_cli.interfaces.conditioner import Conditioner, Song, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus, CorpusSong
from jukebox_cli.storage.model import Model

OWN, OTHERS, PLACED, NONE = (
    "own words",
    "the next song's words",
    "the next song's words at the right times",
    "no words",
)
TELL: dict[str, Callable[[Song, Song], Song]] = {
    OWN: lambda song, other: song,
    OTHERS: with_words_of,
    PLACED: lambda song, other: with_words_at_times(song, [w.text for w in sung_words(other)]),
    NONE: lambda song, other: without_words(song),
}


@dataclass(frozen=True)
class Measured:
    """A window: whether something is sung in it, and bits per token by what was told."""

    sung: bool
    bits: Mapping[str, float]


@dataclass(frozen=True)
class Listener:
    """A top prior that is asked how well it foretells windows."""

    model: Model
    registry: Registry
    corpus: Corpus
    device: torch.device
    most: int | None = None  # windows of a song, evenly spread; None: all

    @property
    def top(self) -> int:
        return self.model.config.vqvae.num_levels - 1

    @cached_property
    def prior(self) -> Prior:
        return load_prior(self.model, self.top, self.registry, self.device, "fp32")

    @cached_property
    def parts(self) -> dict[str, Conditioner]:
        return load_conditioners(self.model, self.top, self.registry)

    def losses(self, entries: Sequence[CorpusSong]) -> list[list[Measured]]:
        """The windows of each song. The song after the last is the first."""
        nexts = [*entries[1:], entries[0]]
        return [self._of_song(entry, other) for entry, other in zip(entries, nexts, strict=True)]

    def _of_song(self, entry: CorpusSong, other: CorpusSong) -> list[Measured]:
        print(f"loss of {entry.name}", file=sys.stderr)
        songs = {name: tell(entry.song, other.song) for name, tell in TELL.items()}
        return [
            Measured(
                self._is_sung(entry, start),
                {name: self._bits(entry, start, song) for name, song in songs.items()},
            )
            for start in starts(entry.length, self.prior.config.context_length, self.most)
        ]

    def _is_sung(self, entry: CorpusSong, start: int) -> bool:
        config, end = self.corpus.config, start + self.prior.config.context_length
        first, last = (at * config.hop_lengths[-1] / config.sample_rate for at in (start, end))
        return any(word.start < last and word.end > first for word in sung_words(entry.song))

    @torch.inference_mode()
    def _bits(self, entry: CorpusSong, start: int, song: Song) -> float:
        """Bits per token of a window, told what is known of a song."""
        shape = prior_shape(self.model.config, self.top)
        window = Window(
            start * shape.hop_length, shape.context_length * shape.hop_length, entry.num_samples
        )
        first = entry.start + start
        codes = self.corpus.tokens(self.top)[first : first + shape.context_length].astype(np.int64)
        tokens = torch.from_numpy(codes)[None].to(self.device)  # (1, T)
        conditions = told(self.prior, self.parts, song, window, shape)
        return float(self.prior.loss(tokens, conditions).bits)


def starts(length: int, frames: int, most: int | None) -> list[int]:
    """Where whole windows begin that follow each other through a song; `most` of them, evenly."""
    every = list(range(0, length - frames + 1, frames))
    if most is None or most >= len(every):
        return every
    return [every[round(i * (len(every) - 1) / max(1, most - 1))] for i in range(most)]


def lyric_loss(songs: Sequence[Sequence[Measured]]) -> list[Row]:
    """Bits per token, over all windows and over those in which something is sung: by what was
    told, and how much more the others are than the own words."""
    if len(songs) < 2:
        raise InputError("one song has no others to compare it with", "name two songs or more")
    chosen = {
        "all windows": songs,
        "windows with singing": [[w for w in song if w.sung] for song in songs],
    }
    return [row for what, each in chosen.items() for row in _rows(what, [s for s in each if s])]


def _rows(what: str, songs: Sequence[Sequence[Measured]]) -> list[Row]:
    if not songs:
        return []
    bits = {name: [statistics.mean(w.bits[name] for w in song) for song in songs] for name in TELL}
    rows = [mean(f"loss, {what}, {name}", "bits/token", each) for name, each in bits.items()]
    for name in (OTHERS, PLACED, NONE):
        title = f"loss, {what}, {name} over own"
        rows += compared(title, "bits/token", bits[name], bits[OWN])
    return rows
