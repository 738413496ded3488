"""Training the prior of one level on a corpus of tokens (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.contract import plugin_errors
from jukebox_cli.model.condition_inputs import ConditionArrays, encode_window, require_same_arrays
from jukebox_cli.storage.corpus import Corpus, CorpusSong

#: How often a conditioner is told nothing in training, and how often all of them.
CONDITION_DROPOUT = 0.1


CFG_DROPOUT = 0.05


class Batch(NamedTuple):
    """Windows of a level, as arrays or as tensors. Tokens past the end of a song are -1."""

    tokens: np.ndarray  # int64 (B, T)
    upper_tokens: np.ndarray | None  # int64 (B, T / ratio)
    arrays: ConditionArrays


@dataclass(frozen=True)
class CorpusWindows:
    """Random windows of a corpus: batch `step` is a pure function of `seed` and `step`.

    A tenth of them are the beginning of a song, since that is where every song that is made
    from nothing begins. Where songs are `varied`, each conditioner is told nothing in a share
    UNTOLD of them, so that a prior learns what to do when a person does not say, and else what
    its `vary` makes of the song; all are told nothing in a share ALL_UNTOLD, which guidance needs.
    """

    corpus: Corpus
    songs: tuple[CorpusSong, ...]
    level: int
    shape: PriorShape
    conditioners: Mapping[str, Conditioner]
    seed: int = 0
    start_probability: float = 0.1
    augment: bool = False

    @cached_property
    def _probabilities(self) -> np.ndarray:
        lengths = np.array([e.length for e in self.songs], dtype=float)
        return lengths / lengths.sum()

    def batch(self, step: int, size: int) -> Batch:
        random = np.random.default_rng((self.seed, self.level, step))
        picks = random.choice(len(self.songs), size, p=self._probabilities)
        windows = [self._window(self.songs[i], random) for i in picks]
        rows = [
            self._arrays(self.songs[i], start, random)
            for i, (start, _, _) in zip(picks, windows, strict=True)
        ]
        above = [w[2] for w in windows if w[2] is not None]
        return Batch(
            np.stack([w[1] for w in windows]),
            np.stack(above) if above else None,
            _concatenate(self.conditioners, rows),
        )

    def _window(
        self, entry: CorpusSong, random: np.random.Generator
    ) -> tuple[int, np.ndarray, np.ndarray | None]:
        """Where a window of a song starts, its tokens, and those of the level above."""
        frames, hops = self.shape.context_length, self.corpus.config.hop_lengths
        top = self.level == len(hops) - 1
        ratio = 1 if top else hops[self.level + 1] // hops[self.level]
        total = entry.length * self.corpus.ratio(self.level)
        first = entry.start * self.corpus.ratio(self.level)
        places = max(0, total - frames) // ratio + 1
        start = (
            0 if random.random() < self.start_probability else int(random.integers(places)) * ratio
        )
        end = min(start + frames, total)
        tokens = np.full(frames, -1, np.int64)
        tokens[: end - start] = self.corpus.tokens(self.level)[first + start : first + end]
        if top:
            return start, tokens, None
        codes = self.corpus.tokens(self.level + 1)[
            (first + start) // ratio : (first + end) // ratio
        ]
        pad = (0, frames // ratio - len(codes))
        return start, tokens, np.pad(codes.astype(np.int64), pad, "edge")

    def _arrays(
        self, entry: CorpusSong, start: int, random: np.random.Generator
    ) -> ConditionArrays:
        """What the conditioners make of a window of a song."""
        window = self._audio_window(entry, start)
        arrays: ConditionArrays = {}
        known = {} if self.augment and random.random() < CFG_DROPOUT else entry.song
        for name, part in self.conditioners.items():
            song = self._augmented(part, known, random) if self.augment else known
            arrays |= encode_window({name: part}, [song], window, self.shape)
        return arrays

    def _augmented(self, part: Conditioner, song: Song, random: np.random.Generator) -> Song:
        if random.random() < CONDITION_DROPOUT:
            return {}
        with plugin_errors(part, "augment"):
            return part.augment(song, random)

    def _audio_window(self, entry: CorpusSong, start: int) -> Window:
        hop = self.shape.hop_length
        return Window(start * hop, self.shape.context_length * hop, entry.num_samples)


def _concatenate(
    conditioners: Mapping[str, Conditioner], rows: Sequence[ConditionArrays]
) -> ConditionArrays:
    for row in rows[1:]:
        require_same_arrays(conditioners, rows[0], row)
    return {
        name: {key: np.concatenate([row[name][key] for row in rows]) for key in each}
        for name, each in rows[0].items()
    }
