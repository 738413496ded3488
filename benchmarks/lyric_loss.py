"""Whether a prior uses the lyrics: its loss on held-out songs with their own lyrics, with those of
another song, and without any.

Each variant is measured on the same windows, which follow each other through each song, with the
same other conditions.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from measurements import Row, mean_row, paired_rows
from prior_inputs import condition_window, token_batch
from word_times import sung_words, with_lyrics_of, with_words_at_own_times, without_lyrics

from jukebox_cli.interfaces.conditioner import Conditioner, Song, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.corpus_songs import CorpusSong
from jukebox_cli.storage.model import Model

OWN, OTHER, OTHER_AT_OWN_TIMES, NONE = (
    "own words",
    "next song's words",
    "next song's words at own times",
    "no words",
)

#: A song with other lyrics, from the song and the next one.
VARIANTS: dict[str, Callable[[Song, Song], Song]] = {
    OWN: lambda song, other: song,
    OTHER: with_lyrics_of,
    OTHER_AT_OWN_TIMES: lambda song, other: with_words_at_own_times(
        song, [word.text for word in sung_words(other)]
    ),
    NONE: lambda song, other: without_lyrics(song),
}


@dataclass(frozen=True)
class WindowLoss:
    """The loss of a window for each variant of the lyrics."""

    has_singing: bool
    bits: Mapping[str, float]  # per token


@dataclass(frozen=True)
class LossMeter:
    """Measures the loss of a model's top prior."""

    model: Model
    registry: Registry
    corpus: Corpus
    device: torch.device
    max_windows: int | None = None  # per song, evenly spaced; None: all

    @property
    def top(self) -> int:
        return self.model.config.vqvae.num_levels - 1

    @cached_property
    def prior(self) -> Prior:
        return load_prior(self.model, self.top, self.registry, self.device, "fp32")

    @cached_property
    def conditioners(self) -> dict[str, Conditioner]:
        return load_conditioners(self.model, self.top, self.registry)

    def losses(self, songs: Sequence[CorpusSong]) -> list[list[WindowLoss]]:
        """The windows of each song. The song after the last is the first."""
        following = [*songs[1:], songs[0]]
        return [self._song_losses(*pair) for pair in zip(songs, following, strict=True)]

    def _song_losses(self, entry: CorpusSong, other: CorpusSong) -> list[WindowLoss]:
        print(f"loss of {entry.name}", file=sys.stderr)
        songs = {name: variant(entry.song, other.song) for name, variant in VARIANTS.items()}
        return [
            WindowLoss(
                self._has_singing(entry, start),
                {name: self._bits(entry, start, song) for name, song in songs.items()},
            )
            for start in window_starts(
                entry.length, self.prior.config.context_length, self.max_windows
            )
        ]

    def _has_singing(self, entry: CorpusSong, start: int) -> bool:
        config, end = self.corpus.config, start + self.prior.config.context_length
        token_seconds = config.hop_lengths[-1] / config.sample_rate
        return any(
            word.start < end * token_seconds and word.end > start * token_seconds
            for word in sung_words(entry.song)
        )

    @torch.inference_mode()
    def _bits(self, entry: CorpusSong, start: int, song: Song) -> float:
        """Bits per token of a window with the conditions of `song`."""
        shape = prior_shape(self.model.config, self.top)
        length = shape.context_length
        window = Window(start * shape.hop_length, length * shape.hop_length, entry.num_samples)
        first = entry.start + start
        tokens = token_batch(self.corpus.tokens(self.top)[first : first + length], self.device)
        conditioning = condition_window(self.prior, self.conditioners, song, window, shape)
        return float(self.prior.loss(tokens, conditioning).bits)


def window_starts(length: int, context_length: int, max_windows: int | None) -> list[int]:
    """The first tokens of consecutive whole windows; at most `max_windows`, evenly spaced."""
    firsts = list(range(0, length - context_length + 1, context_length))
    if max_windows is None or max_windows >= len(firsts):
        return firsts
    last = len(firsts) - 1
    return [firsts[round(i * last / max(1, max_windows - 1))] for i in range(max_windows)]


def lyric_loss_rows(songs: Sequence[Sequence[WindowLoss]]) -> list[Row]:
    """Bits per token of each variant and their differences to the own lyrics, over all windows and
    over those with singing. Raises InputError for fewer than two songs."""
    if len(songs) < 2:
        raise InputError("one song has no others to compare it with", "name two songs or more")
    selections = {
        "all windows": songs,
        "windows with singing": [[w for w in song if w.has_singing] for song in songs],
    }
    return [
        row
        for name, selected in selections.items()
        for row in _rows(name, [song for song in selected if song])
    ]


def _rows(selection: str, songs: Sequence[Sequence[WindowLoss]]) -> list[Row]:
    if not songs:
        return []
    bits = {
        name: [statistics.mean(window.bits[name] for window in song) for song in songs]
        for name in VARIANTS
    }
    rows = [mean_row(f"loss, {selection}, {name}", "bits/token", b) for name, b in bits.items()]
    for name in (OTHER, OTHER_AT_OWN_TIMES, NONE):
        title = f"loss, {selection}, {name} minus own words"
        rows += paired_rows(title, "bits/token", bits[name], bits[OWN])
    return rows
