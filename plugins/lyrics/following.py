"""Which letter is sung when: a path through what a head of a prior looks at.

Shapes: T frames of time, L letters of a text, S letters that a window is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: A head that looks nowhere near a letter says this little of it.
FLOOR = 1e-3
#: How many letters further a frame may be than the one before.
MOST = 2


def path(looks: np.ndarray) -> np.ndarray:
    """The letter of every frame, (T,): the likeliest path through attention (T, L) that never
    goes back. It begins at the first and may end anywhere."""
    scores = np.log(looks + FLOOR)
    best = np.full(looks.shape[1], -np.inf)
    best[0] = scores[0, 0]
    steps = np.zeros(looks.shape, np.uint8)
    for t in range(1, len(scores)):
        ways = np.stack([_from(best, step) for step in range(MOST + 1)])  # (3, L)
        steps[t] = ways.argmax(axis=0)
        best = ways.max(axis=0) + scores[t]
    letters = np.zeros(len(scores), np.int64)
    letters[-1] = best.argmax()
    for t in range(len(scores) - 1, 0, -1):
        letters[t - 1] = letters[t] - steps[t, letters[t]]
    return letters


def _from(best: np.ndarray, step: int) -> np.ndarray:
    """The best scores of paths that come from `step` letters before each."""
    moved = np.full_like(best, -np.inf)
    moved[step:] = best[: len(best) - step]
    return moved


def diagonal(looks: np.ndarray) -> float:
    """How well a head follows the words in a window's attention (T, S), from -1 to 1.

    The correlation of time and the letter looked at on average, times how sure it is of that: a
    head that looks everywhere or always at one place has nothing of the diagonal.
    """
    sums = looks.sum(axis=1)
    if len(looks) < 2 or looks.shape[1] < 2 or not (sums > 0).all():
        return 0.0
    shares = looks / sums[:, None]
    places = shares @ np.arange(shares.shape[1])
    if places.std() < 1e-6:
        return 0.0
    follows = float(np.corrcoef(np.arange(len(places)), places)[0, 1])
    entropy = -(shares * np.log(shares + 1e-12)).sum(axis=1).mean() / np.log(shares.shape[1])
    return follows * float(1 - entropy)


def between_silences(looks: np.ndarray) -> np.ndarray:
    """Attention (T, L) with a letter before the first and one after the last, (T, L + 2), for where
    it looks at no letter: so nothing is sung while an instrument plays on."""
    nothing = (1 - looks.sum(axis=1, keepdims=True)).clip(0)
    return np.concatenate([nothing, looks, nothing], axis=1)


def starts(letters: np.ndarray, count: int) -> np.ndarray:
    """The first frame at which the path has come to each of `count` letters; that of a letter it
    does not come to, or has passed before it began, is -1: float (count,)."""
    first = np.searchsorted(letters, np.arange(count))
    sung = (first < len(letters)) & (np.arange(count) >= letters[0])
    return np.where(sung, first, -1)


def pooled(looks: Sequence[np.ndarray], frame: int) -> np.ndarray:
    """Attention (T, S) with `frame` tokens made one frame, as their average."""
    whole = np.concatenate(looks)
    padded = np.pad(whole, ((0, -len(whole) % frame), (0, 0)), "edge")
    averaged: np.ndarray = padded.reshape(-1, frame, whole.shape[1]).mean(axis=1)
    return averaged
