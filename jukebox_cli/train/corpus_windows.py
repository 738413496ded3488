"""Training batches for priors: random windows of a corpus, with their conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.contract import plugin_errors
from jukebox_cli.model.condition_inputs import ConditionArrays, encode_window, require_same_arrays
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.corpus_songs import CorpusSong

#: Probability that a conditioner gets an empty song, so that a prior also learns to do without it.
CONDITION_DROPOUT = 0.1

#: Probability that all conditioners get an empty song, for classifier-free guidance (Ho & Salimans
#: 2022, algorithm 1).
CFG_DROPOUT = 0.05


class Batch(NamedTuple):
    """Windows of a level. Tokens past the end of a song are -1."""

    tokens: np.ndarray  # int64 (B, T)
    upper_tokens: np.ndarray | None  # int64 (B, T / ratio); None at the top level
    conditions: ConditionArrays


class TokenWindow(NamedTuple):
    """One window of a song."""

    start: int  # in tokens of the level, from the beginning of the song
    tokens: np.ndarray  # int64 (T,)
    upper_tokens: np.ndarray | None  # int64 (T / ratio,)


@dataclass(frozen=True)
class CorpusWindows:
    """Random windows of a corpus. The batch of a step is a pure function of `seed` and `step`.

    Songs are drawn with a probability proportional to their length. Some windows are the beginning
    of a song, which would otherwise be rare, since every newly sampled song has to begin.
    """

    corpus: Corpus
    songs: tuple[CorpusSong, ...]
    level: int
    shape: PriorShape
    conditioners: Mapping[str, Conditioner]
    seed: int = 0
    start_probability: float = 0.1  # of a window being the beginning of its song
    augment: bool = False  # whether conditions are dropped and augmented, as in training

    @cached_property
    def _probabilities(self) -> np.ndarray:
        lengths = np.array([song.length for song in self.songs], dtype=float)
        return lengths / lengths.sum()

    def batch(self, step: int, batch_size: int) -> Batch:
        """The windows of a step, as arrays with a leading batch axis."""
        rng = np.random.default_rng((self.seed, self.level, step))
        drawn = rng.choice(len(self.songs), batch_size, p=self._probabilities)
        songs = [self.songs[i] for i in drawn]
        windows = [self._draw_window(song, rng) for song in songs]
        conditions = [
            self._encode_conditions(song, window.start, rng)
            for song, window in zip(songs, windows, strict=True)
        ]
        upper_tokens = [w.upper_tokens for w in windows if w.upper_tokens is not None]
        return Batch(
            np.stack([window.tokens for window in windows]),
            np.stack(upper_tokens) if upper_tokens else None,
            _concatenate(self.conditioners, conditions),
        )

    def _draw_window(self, song: CorpusSong, rng: np.random.Generator) -> TokenWindow:
        """A random window of a song. It starts at a token of the level above."""
        grid = self.corpus.token_grid
        length, ratio = self.shape.context_length, grid.ratio(self.level)
        per_top_token = grid.tokens_per_top_token(self.level)
        total = song.length * per_top_token
        num_starts = max(0, total - length) // ratio + 1
        at_beginning = rng.random() < self.start_probability
        start = 0 if at_beginning else int(rng.integers(num_starts)) * ratio
        first = song.start * per_top_token + start
        last = first + min(length, total - start)
        tokens = np.full(length, -1, np.int64)
        tokens[: last - first] = self.corpus.tokens(self.level)[first:last]
        return TokenWindow(start, tokens, self._upper_tokens(first, last))

    def _upper_tokens(self, first: int, last: int) -> np.ndarray | None:
        """The tokens (T / ratio,) above tokens `first` to `last` of the corpus, the last of them
        repeated to the length of a window; None at the top level."""
        grid = self.corpus.token_grid
        if self.level == grid.top_level:
            return None
        start, end = grid.upper_range(self.level, first, last)
        upper = self.corpus.tokens(self.level + 1)[start:end]
        padding = self.shape.context_length // grid.ratio(self.level) - len(upper)
        return np.pad(upper.astype(np.int64), (0, padding), "edge")

    def _encode_conditions(
        self, song: CorpusSong, start: int, rng: np.random.Generator
    ) -> ConditionArrays:
        """The inputs of all conditioners for a window, each with a leading axis of 1."""
        hop_length = self.shape.hop_length
        window = Window(
            start * hop_length, self.shape.context_length * hop_length, song.num_samples
        )
        values = {} if self.augment and rng.random() < CFG_DROPOUT else song.song
        arrays: ConditionArrays = {}
        for name, conditioner in self.conditioners.items():
            seen = _augmented(conditioner, values, rng) if self.augment else values
            arrays |= encode_window({name: conditioner}, [seen], window, self.shape)
        return arrays


def _augmented(conditioner: Conditioner, song: Song, rng: np.random.Generator) -> Song:
    """A song as one conditioner sees it in training: augmented, or empty."""
    if rng.random() < CONDITION_DROPOUT:
        return {}
    with plugin_errors(conditioner, "augment"):
        return conditioner.augment(song, rng)


def _concatenate(
    conditioners: Mapping[str, Conditioner], rows: Sequence[ConditionArrays]
) -> ConditionArrays:
    for row in rows[1:]:
        require_same_arrays(conditioners, rows[0], row)
    return {
        name: {key: np.concatenate([row[name][key] for row in rows]) for key in arrays}
        for name, arrays in rows[0].items()
    }
