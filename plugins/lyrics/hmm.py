"""Which letter is sung when, by what a head of a prior looks at.

A song walks through its letters from the first on and never goes back: a hidden Markov model with a
state for each letter, one before the first and one after the last. What a head looks at is a guess
that already holds what it expected before it heard anything; divided by that it says what the sound
adds (a scaled likelihood: Bourlard and Morgan, "Connectionist Speech Recognition", 1994, chapter
7). Forward and backward (Rabiner, "A Tutorial on Hidden Markov Models", 1989, section III) then
give when each letter has most likely begun, with all that comes later in mind.

Shapes: T frames of time, L letters of a text, S letters that a window is told.
"""

from __future__ import annotations

import numpy as np

#: A head that looks nowhere near a letter says this little of it.
ATTENTION_FLOOR = 3e-3
#: Letters on either side that share what a head expects of them.
SMOOTHING_RADIUS = 4
#: Seconds that a letter lasts on average, and the end of a line with the rest that follows it.
CHARACTER_SECONDS, LINE_END_SECONDS = 0.15, 1.0
#: Seconds whose frames all say the same: together they count as much as one.
CORRELATION_SECONDS = 0.4
#: How likely a song ends one letter short of what should be sung by then, as against none.
MISSING_CHARACTER_PENALTY = 0.5


def log_likelihood_ratios(looks: np.ndarray, told: np.ndarray, evenly: np.ndarray) -> np.ndarray:
    """How much likelier each state is for what the head looked at, as logarithms (T, L + 2).

    looks: attention (T, L); told: whether a letter could be looked at, bool (T, L); evenly: the
    letter that would be sung if all were as long, (T,). A head that hears nothing looks around
    there. Of a letter that it is not told it says nothing, 0.
    """
    usual = _prior_attention(looks, told, evenly)
    letters = np.where(told, _log_ratio(looks, usual), 0.0)
    nothing = (1 - looks.sum(axis=1, keepdims=True)).clip(0)
    rest = _log_ratio(nothing, nothing.sum() / max(1, len(nothing)))
    return np.concatenate([rest, letters, rest], axis=1)


def _log_ratio(looks: np.ndarray, usual: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.log((looks + ATTENTION_FLOOR) / (usual + ATTENTION_FLOOR))
    return ratio


def _prior_attention(looks: np.ndarray, told: np.ndarray, evenly: np.ndarray) -> np.ndarray:
    """What a head looks at so far from the even place on average over the song, (T, L)."""
    count = looks.shape[1]
    even = np.rint(evenly).astype(np.int64).clip(0, count)
    away = np.arange(count)[None] - even[:, None] + count
    around = np.ones(2 * SMOOTHING_RADIUS + 1)
    places = 2 * count + len(around)
    sums = np.convolve(np.bincount(away[told], looks[told], places), around, "same")
    times = np.convolve(np.bincount(away[told], minlength=places), around, "same")
    usual: np.ndarray = (sums / times.clip(1))[away]
    return usual


def speedup(ends: np.ndarray, seconds: float) -> float:
    """How many times faster than usual the letters must be sung to fit into so many seconds, at
    least 1; ends: which letters end a line, bool (L,)."""
    return max(1.0, float(_expected_durations(ends).sum()) / seconds)


def self_transition_probs(ends: np.ndarray, frame: float) -> np.ndarray:
    """How likely each of L + 2 states lasts a frame of so many seconds longer."""
    longer: np.ndarray = np.exp(-frame / _expected_durations(ends))
    return longer


def _expected_durations(ends: np.ndarray) -> np.ndarray:
    """The seconds of each state; what is before the first letter and after the last rests, too."""
    return np.where(np.concatenate([[True], ends, [True]]), LINE_END_SECONDS, CHARACTER_SECONDS)


def character_onsets(
    scores: np.ndarray, longer: np.ndarray, due: float, frame: float
) -> np.ndarray:
    """The frame at which each of L + 2 states has as likely as not begun, float (L + 2,); -1 for
    those that have not begun by the end.

    scores: (T, L + 2); longer: how likely each state stays; due: the state that a song should have
    come to by the end, of frames of so many seconds.
    """
    likely = np.exp(
        (scores - scores.max(axis=1, keepdims=True, initial=0)) * (frame / CORRELATION_SECONDS)
    )
    come = _forward_probabilities(likely, longer)
    after = MISSING_CHARACTER_PENALTY ** (due - np.arange(len(longer))).clip(0)
    before = np.zeros(len(longer))  # frames in which a state has less likely begun than not
    for t in range(len(likely) - 1, -1, -1):
        now = come[t] * after
        before += np.cumsum(now[::-1])[::-1] < 0.5 * now.sum()
        after = _backward_step(after * likely[t], longer)
    return np.where(before < len(likely), before, -1)


def _forward_probabilities(likely: np.ndarray, longer: np.ndarray) -> np.ndarray:
    """How likely a song is in each state, by what was heard until then, (T, L + 2)."""
    come = np.zeros(likely.shape, np.float32)
    now = np.eye(len(longer))[0]
    for t, each in enumerate(likely):
        if t:
            moved = now * (1 - longer)
            now = now * longer
            now[1:] += moved[:-1]
        now = now * each
        now /= now.sum()
        come[t] = now
    return come


def _backward_step(after: np.ndarray, longer: np.ndarray) -> np.ndarray:
    """How well what is heard from a frame on fits each state of the frame before it."""
    before = after * longer
    before[:-1] += after[1:] * (1 - longer[:-1])
    scaled: np.ndarray = before / before.sum()
    return scaled


def diagonality(looks: np.ndarray) -> float:
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
