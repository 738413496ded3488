"""Forced alignment: when each character is sung, from attention weights."""

from __future__ import annotations

import numpy as np
import pytest
from jukebox_plugins.lyrics.hmm import (
    character_onsets,
    diagonality,
    log_likelihood_ratios,
    self_transition_probs,
    speedup,
)

FRAME_SECONDS = 0.02


def attention_near(characters: list[int], count: int, width: float = 1.0) -> np.ndarray:
    """Weights (T, L) around one character per frame, falling off like a Gaussian."""
    distances = np.arange(count)[None] - np.array(characters)[:, None]
    weights = np.exp(-((distances / width) ** 2))
    normalized: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return normalized


def onsets_from(attention: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """Onset frame of each character (L,), from attention (T, L)."""
    frames, count = attention.shape
    uniform = np.arange(frames) * count / frames
    everywhere = np.ones(attention.shape, bool)
    ratios = log_likelihood_ratios(attention, everywhere if visible is None else visible, uniform)
    line_ends = np.zeros(count, bool)
    seconds = FRAME_SECONDS * speedup(line_ends, FRAME_SECONDS * frames)
    probs = self_transition_probs(line_ends, seconds)
    return character_onsets(ratios, probs, count + 1, seconds)[1:-1]


def random_song(seed: int, rest: int = 60) -> np.ndarray:
    """The character of every frame of a song of 60 characters with two rests."""
    durations = np.random.default_rng(seed).integers(3, 12, 60)
    durations[[10, 20]] += rest
    return np.repeat(np.arange(60), durations)


def test_characters_begin_where_attention_moves_to_them() -> None:
    song = random_song(0)
    onsets = onsets_from(attention_near(song.tolist(), 60))
    expected = np.searchsorted(song, np.arange(60))
    assert (np.diff(onsets) >= 0).all()
    assert np.abs(onsets - expected).max() <= 12
    assert np.median(np.abs(onsets - expected)) <= 3


def test_attention_that_does_not_depend_on_the_audio_is_divided_out() -> None:
    """A head that mostly attends near the uniform position, and a little to what is sung."""
    song = random_song(1, rest=120)
    frames = np.arange(len(song))
    uniform = attention_near((frames * 60 / len(song)).astype(int).tolist(), 60, width=10.0)
    attention = uniform * (attention_near(song.tolist(), 60) + 0.05)
    attention /= attention.sum(axis=1, keepdims=True)
    assert np.abs(attention @ np.arange(60) - song).mean() > 3  # characters
    expected = np.searchsorted(song, np.arange(60))
    assert np.abs(np.arange(60) * len(song) / 60 - expected).mean() > 25
    assert np.abs(onsets_from(attention) - expected).mean() < 10


def test_characters_outside_the_window_are_passed_through() -> None:
    song = random_song(2)
    visible = np.abs(np.arange(60) - song[:, None]) < 20
    elsewhere = (song > 20) & (song < 30)  # in these frames the window is at another place
    visible[elsewhere] = np.arange(60) >= 40
    attention = attention_near(song.tolist(), 60)
    onsets = onsets_from(np.where(visible, attention, 0.0), visible)
    expected = np.searchsorted(song, np.arange(60))
    assert np.abs(onsets - expected)[np.r_[:15, 35:60]].max() <= 12
    assert (np.diff(onsets) >= 0).all()


def test_silence_and_line_ends_last_longer_than_characters() -> None:
    line_ends = np.array([False, False, True, False])
    probs = self_transition_probs(line_ends, FRAME_SECONDS)
    assert probs.shape == (6,)
    assert probs[0] == probs[3] == probs[5] > probs[1] == probs[2] == probs[4]


def test_a_song_too_short_for_its_lyrics_is_sung_faster() -> None:
    line_ends = np.zeros(20, bool)  # 20 * 0.15 s, and 1 s of silence on either side
    assert speedup(line_ends, 2.5) == pytest.approx(2.0)
    assert speedup(line_ends, 60.0) == 1.0


def test_frames_without_attention_to_the_text_are_silence() -> None:
    attention = np.zeros((60, 3))
    attention[10:23, 0], attention[23:36, 1], attention[36:40, 2] = 1, 1, 1
    visible = np.ones(attention.shape, bool)
    ratios = log_likelihood_ratios(attention, visible, np.arange(60) / 20)
    probs = self_transition_probs(np.zeros(3, bool), FRAME_SECONDS)
    onsets = character_onsets(ratios, probs, 4, FRAME_SECONDS)
    assert onsets.tolist() == pytest.approx([0, 10, 23, 36, 40], abs=1)


def test_characters_that_a_song_does_not_reach_have_no_onset() -> None:
    onsets = onsets_from(attention_near(np.repeat(np.arange(20), 8).tolist(), 400))
    assert np.abs(onsets[:18] - np.arange(18) * 8).max() <= 12
    assert (onsets[100:] == -1).all()


@pytest.mark.parametrize("shape", [(1, 3), (4, 0)])
def test_one_frame_or_no_characters_is_possible(shape: tuple[int, int]) -> None:
    assert onsets_from(np.zeros(shape)).shape == (shape[1],)


def test_a_diagonal_head_scores_higher_than_others() -> None:
    rng = np.random.default_rng(0)
    diagonal = diagonality(attention_near(list(range(40)), 40))
    blurred = diagonality(attention_near(list(range(40)), 40, width=12.0))
    constant = diagonality(attention_near([7] * 40, 40))
    random = diagonality(attention_near(rng.integers(0, 40, 40).tolist(), 40))
    reversed_ = diagonality(attention_near(list(range(40))[::-1], 40))
    assert diagonal > 0.5
    assert diagonal > blurred > 0.05
    assert max(abs(constant), abs(random)) < 0.3
    assert reversed_ < -0.5


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (5, 1), (5, 0)])
def test_the_score_of_too_little_attention_is_zero(shape: tuple[int, int]) -> None:
    assert diagonality(np.ones(shape)) == 0
    assert diagonality(np.zeros((5, 5))) == 0
