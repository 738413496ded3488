"""Random windows of a corpus: their positions, tokens and conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from jukebox_plugins.artist import Artist
from jukebox_plugins.genre import Genre
from torch import nn

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.model import Model
from jukebox_cli.train.corpus_windows import CFG_DROPOUT, CONDITION_DROPOUT, CorpusWindows
from support.results import refusal
from support.training import new_corpus

SAMPLE_RATE, CONTEXT_LENGTH = 8000, 32


@dataclass(frozen=True)
class WindowRecorder(Conditioner):
    """A conditioner that returns the window it encodes."""

    name: ClassVar[str] = "window"

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {"window": np.array([window.start, window.length, window.total])}

    def module(self, shape: PriorShape) -> nn.Module:
        raise NotImplementedError


def numbered_corpus(path: Path, model: Model, lengths: list[int]) -> Corpus:
    """A corpus whose tokens are their own positions: n at the top level, 2n and 2n + 1 below."""
    corpus, start = new_corpus(path, model), 0
    for length in lengths:
        top = np.arange(start, start + length)
        lower = np.arange(2 * start, 2 * (start + length))
        samples = length * corpus.config.hop_lengths[-1] - 3
        corpus.append(f"song at {start}", samples, {}, False, [lower, top])
        start += length
    return corpus


def windows_of(corpus: Corpus, level: int, seed: int = 0) -> CorpusWindows:
    shape = PriorShape(8, CONTEXT_LENGTH, corpus.config.hop_lengths[level], SAMPLE_RATE)
    conditioners = {"window": WindowRecorder()}
    return CorpusWindows(corpus, tuple(corpus.songs()), level, shape, conditioners, seed)


def windows_of_one_song(
    path: Path,
    model: Model,
    song: dict[str, Any],
    conditioners: Mapping[str, Conditioner],
    augment: bool,
) -> CorpusWindows:
    """Windows of a corpus with one song of 100 top-level tokens."""
    corpus = new_corpus(path, model)
    corpus.append("", 1600, song, False, [np.zeros(200), np.zeros(100)])
    shape = PriorShape(8, CONTEXT_LENGTH, corpus.config.hop_lengths[1], SAMPLE_RATE)
    songs = tuple(corpus.songs())
    return CorpusWindows(corpus, songs, 1, shape, conditioners, augment=augment)


@pytest.mark.parametrize("level", [0, 1])
def test_a_batch_is_a_function_of_seed_and_step(tmp_path: Path, model: Model, level: int) -> None:
    corpus = numbered_corpus(tmp_path / "c", model, [500, 900])
    windows, again, other = (windows_of(corpus, level, seed) for seed in (3, 3, 4))
    again.batch(0, 4)
    first, same = windows.batch(6, 4), again.batch(6, 4)
    assert np.array_equal(first.tokens, same.tokens)
    assert np.array_equal(first.conditions["window"]["window"], same.conditions["window"]["window"])
    assert not np.array_equal(first.tokens, windows.batch(7, 4).tokens)
    assert not np.array_equal(first.tokens, other.batch(6, 4).tokens)


@pytest.mark.parametrize("level", [0, 1])
def test_tokens_upper_tokens_and_conditions_are_of_the_same_position(
    tmp_path: Path, model: Model, level: int
) -> None:
    corpus = numbered_corpus(tmp_path / "c", model, [300, 12, 200])
    hop_length = corpus.config.hop_lengths[level]
    song_starts = np.array(
        [e.start for e in corpus.songs()]
    ) * corpus.token_grid.tokens_per_top_token(level)
    batch = windows_of(corpus, level).batch(0, 100)
    starts = batch.tokens[:, 0]
    songs = np.searchsorted(song_starts, starts, side="right") - 1
    assert set(songs) == {0, 1, 2}
    start, length, total = batch.conditions["window"]["window"].T
    assert np.array_equal(start, (starts - song_starts[songs]) * hop_length)
    assert set(length) == {CONTEXT_LENGTH * hop_length}
    assert np.array_equal(total, np.array([e.num_samples for e in corpus.songs()])[songs])
    inside = batch.tokens >= 0
    assert np.array_equal(batch.tokens[inside], (starts[:, None] + np.arange(32))[inside])
    if level == 1:
        assert batch.upper_tokens is None
    else:
        assert batch.upper_tokens is not None
        assert (starts % 2 == 0).all()
        repeated = batch.upper_tokens.repeat(2, axis=1)
        assert np.array_equal(repeated[inside], (batch.tokens // 2)[inside])


@pytest.mark.parametrize("level", [0, 1])
def test_a_song_shorter_than_a_window_is_padded(tmp_path: Path, model: Model, level: int) -> None:
    corpus = numbered_corpus(tmp_path / "c", model, [10])
    batch, length = windows_of(corpus, level).batch(0, 3), (20, 10)[level]
    assert batch.tokens.tolist() == [[*range(length), *[-1] * (32 - length)]] * 3
    if level == 0:
        assert batch.upper_tokens is not None
        assert batch.upper_tokens.tolist() == [[*range(10), *[9] * 6]] * 3


def test_windows_start_at_every_token_of_the_level_above(tmp_path: Path, model: Model) -> None:
    windows = windows_of(numbered_corpus(tmp_path / "c", model, [20]), 0)
    starts = {int(start) for step in range(20) for start in windows.batch(step, 10).tokens[:, 0]}
    assert starts == {0, 2, 4, 6, 8}


def test_a_tenth_of_the_windows_begin_a_song_and_songs_are_drawn_by_length(
    tmp_path: Path, model: Model
) -> None:
    windows = windows_of(numbered_corpus(tmp_path / "c", model, [9000, 3000]), 1)
    starts = np.concatenate([windows.batch(step, 100).tokens[:, 0] for step in range(20)])
    assert 0.08 < np.isin(starts, (0, 9000)).mean() < 0.12
    assert 0.72 < (starts < 9000).mean() < 0.78


@pytest.mark.parametrize("augment", [False, True])
def test_conditions_are_dropped_one_by_one_and_all_at_once(
    tmp_path: Path, model: Model, augment: bool
) -> None:
    conditioners = {"artist": Artist(names=("Ada",)), "genre": Genre(names=("rock",))}
    song = {"artist": "Ada", "genre": ["rock"]}
    windows = windows_of_one_song(tmp_path / "c", model, song, conditioners, augment)
    conditions = windows.batch(0, 1000).conditions
    present = {name: conditions[name]["ids"][:, 0] == 1 for name in conditioners}
    keep_all = 1 - CFG_DROPOUT if augment else 1.0
    keep = 1 - CONDITION_DROPOUT if augment else 1.0
    for each in present.values():
        assert each.mean() == pytest.approx(keep_all * keep, abs=0.03)
    both = (present["artist"] & present["genre"]).mean()
    assert both == pytest.approx(keep_all * keep**2, abs=0.04)
    neither = (~present["artist"] & ~present["genre"]).mean()
    assert neither == pytest.approx(1 - keep_all * (1 - (1 - keep) ** 2), abs=0.02)


@dataclass(frozen=True)
class RandomArtist(Artist):  # type: ignore[misc]
    """Replaces the artist by Bob in half of the augmented songs."""

    def augment(self, song: Song, rng: np.random.Generator) -> Song:
        return {**song, "artist": "Bob"} if rng.random() < 0.5 else song


@pytest.mark.parametrize("augment", [False, True])
def test_songs_are_augmented_in_training_alone(tmp_path: Path, model: Model, augment: bool) -> None:
    conditioners = {"artist": RandomArtist(names=("Ada", "Bob"))}
    windows = windows_of_one_song(tmp_path / "c", model, {"artist": "Ada"}, conditioners, augment)
    first, second = (windows.batch(7, 100).conditions["artist"]["ids"] for _ in range(2))
    assert set(first.flatten()) == ({0, 1, 2} if augment else {1})  # 0: no artist
    assert np.array_equal(first, second)


def test_an_error_in_augmenting_names_the_plugin(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def augment(self: RandomArtist, song: Song, rng: np.random.Generator) -> Song:
        raise ZeroDivisionError("empty")

    monkeypatch.setattr(RandomArtist, "augment", augment)
    conditioners = {"artist": RandomArtist(names=("Ada", "Bob"))}
    windows = windows_of_one_song(tmp_path / "c", model, {"artist": "Ada"}, conditioners, True)
    message, _ = refusal(windows.batch, 0, 10)
    assert message.endswith("augment() raised ZeroDivisionError: empty")


def test_arrays_of_different_shapes_name_the_plugin(
    tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(
        self: WindowRecorder, song: Song, window: Window, shape: PriorShape
    ) -> dict[str, np.ndarray]:
        return {"window": np.zeros(3 if window.start else 4)}

    monkeypatch.setattr(WindowRecorder, "encode", encode)
    windows = windows_of(numbered_corpus(tmp_path / "c", model, [200]), 1)
    message, _ = refusal(windows.batch, 0, 100)
    assert message in (
        "plugin 'window': encode() returned 'window' of shape (3,) for one window and (4,) for "
        "another",
        "plugin 'window': encode() returned 'window' of shape (4,) for one window and (3,) for "
        "another",
    )
