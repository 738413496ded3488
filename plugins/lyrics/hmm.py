"""Forced alignment: the attention weights of one head -> the onset of each character.

A left-to-right hidden Markov model has one state per character, plus silence before the first and
after the last. Each frame either stays in its state or moves on to the next.

Attention weights are treated as state posteriors. A head also has expectations that do not depend
on the audio (it attends near the uniform position), and dividing by those turns posteriors into
scaled likelihoods, as in hybrid HMM / neural network speech recognition (Bourlard and Morgan,
"Connectionist Speech Recognition", 1994, chapter 7). The forward-backward algorithm (Rabiner, "A
Tutorial on Hidden Markov Models", Proc. IEEE 77(2), 1989, section III) gives the probability of
each state at each frame, and from it the median onset.

Shapes: T frames, L characters of the text, S characters that a window sees. Times are in seconds.
"""

from __future__ import annotations

import numpy as np

#: Added to attention weights before taking logarithms, so that one weight of 0 excludes nothing.
ATTENTION_FLOOR = 3e-3
#: Expected attention is averaged over this many neighbouring characters on either side.
SMOOTHING_RADIUS = 4
#: Expected duration of a character, and of a line break with the silence after it, in seconds.
CHARACTER_SECONDS, LINE_END_SECONDS = 0.15, 1.0
#: Attention is correlated over this many seconds: their frames count as much as a single one.
CORRELATION_SECONDS = 0.4
#: Probability factor for each character that the song has not reached by the end, though it should.
MISSING_CHARACTER_PENALTY = 0.5


def log_likelihood_ratios(
    attention: np.ndarray, visible: np.ndarray, uniform_positions: np.ndarray
) -> np.ndarray:
    """Log-likelihood of each frame in each state, relative to the expected attention, (T, L + 2).

    attention: weights of the head, (T, L).
    visible: whether the character was in the window of the frame, bool (T, L). The ratio is 0,
        that is neutral, where it was not.
    uniform_positions: the character at each frame if all had the same duration, (T,).
    """
    expected = _expected_attention(attention, visible, uniform_positions)
    characters = np.where(visible, _log_ratio(attention, expected), 0.0)
    elsewhere = (1 - attention.sum(axis=1, keepdims=True)).clip(0)
    silence = _log_ratio(elsewhere, elsewhere.sum() / max(1, len(elsewhere)))
    return np.concatenate([silence, characters, silence], axis=1)


def _log_ratio(attention: np.ndarray, expected: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.log((attention + ATTENTION_FLOOR) / (expected + ATTENTION_FLOOR))
    return ratio


def _expected_attention(
    attention: np.ndarray, visible: np.ndarray, uniform_positions: np.ndarray
) -> np.ndarray:
    """Mean attention at each distance from the uniform position over the whole song, (T, L)."""
    count = attention.shape[1]
    uniform = np.rint(uniform_positions).astype(np.int64).clip(0, count)
    distances = np.arange(count)[None] - uniform[:, None] + count  # (T, L), 0 or more
    neighbours = np.ones(2 * SMOOTHING_RADIUS + 1)
    size = 2 * count + len(neighbours)
    weights = np.bincount(distances[visible], attention[visible], size)
    counts = np.bincount(distances[visible], minlength=size)
    sums = np.convolve(weights, neighbours, "same")
    means = sums / np.convolve(counts, neighbours, "same").clip(1)
    expected: np.ndarray = means[distances]
    return expected


def speedup(line_ends: np.ndarray, seconds: float) -> float:
    """How many times faster than expected the characters must be sung to fit, at least 1.

    line_ends: whether each character is a line break, bool (L,); seconds: length of the song.
    """
    return max(1.0, float(_expected_durations(line_ends).sum()) / seconds)


def self_transition_probs(line_ends: np.ndarray, frame_seconds: float) -> np.ndarray:
    """Self-loop probability of each state (silence, L characters, silence), (L + 2,).

    Durations are geometrically distributed: exp(-frame_seconds / expected duration).
    """
    probs: np.ndarray = np.exp(-frame_seconds / _expected_durations(line_ends))
    return probs


def _expected_durations(line_ends: np.ndarray) -> np.ndarray:
    """Expected duration of each state in seconds, (L + 2,)."""
    pauses = np.concatenate([[True], line_ends, [True]])
    return np.where(pauses, LINE_END_SECONDS, CHARACTER_SECONDS)


def character_onsets(
    log_likelihood_ratios: np.ndarray,
    self_transition_probs: np.ndarray,
    expected_last_state: float,
    frame_seconds: float,
) -> np.ndarray:
    """Median onset frame of each state, float (L + 2,); -1 if it is not reached by the end.

    log_likelihood_ratios: (T, L + 2).
    self_transition_probs: (L + 2,).
    expected_last_state: the state that should be reached by the last frame.
    frame_seconds: duration of a frame.
    """
    weight = frame_seconds / CORRELATION_SECONDS
    peaks = log_likelihood_ratios.max(axis=1, keepdims=True, initial=0)
    likelihoods = np.exp((log_likelihood_ratios - peaks) * weight)
    forward = _forward_probabilities(likelihoods, self_transition_probs)
    states = np.arange(len(self_transition_probs))
    backward = MISSING_CHARACTER_PENALTY ** (expected_last_state - states).clip(0)
    onsets = np.zeros(len(states))  # frames in which a state has probably not begun
    for t in range(len(likelihoods) - 1, -1, -1):
        posterior = forward[t] * backward
        begun = np.cumsum(posterior[::-1])[::-1]  # probability of this state or a later one
        onsets += begun < 0.5 * posterior.sum()
        backward = _backward_step(backward * likelihoods[t], self_transition_probs)
    return np.where(onsets < len(likelihoods), onsets, -1)


def _forward_probabilities(
    likelihoods: np.ndarray, self_transition_probs: np.ndarray
) -> np.ndarray:
    """Probability of each state given the frames up to t, (T, L + 2): Rabiner's scaled alpha."""
    forward = np.zeros(likelihoods.shape, np.float32)
    probs = np.eye(len(self_transition_probs))[0]  # the first state is the silence before
    for t, likelihood in enumerate(likelihoods):
        if t:
            leaving = probs * (1 - self_transition_probs)
            probs = probs * self_transition_probs
            probs[1:] += leaving[:-1]
        probs = probs * likelihood
        probs /= probs.sum()
        forward[t] = probs
    return forward


def _backward_step(weighted: np.ndarray, self_transition_probs: np.ndarray) -> np.ndarray:
    """Likelihood of all later frames for each state one frame earlier, up to a factor: beta."""
    backward = weighted * self_transition_probs
    backward[:-1] += weighted[1:] * (1 - self_transition_probs[:-1])
    scaled: np.ndarray = backward / backward.sum()
    return scaled


def diagonality(attention: np.ndarray) -> float:
    """How monotonically a head moves through the text in one window, from -1 to 1.

    attention: weights over the characters of the window, (T, S). The score is the correlation of
    time with the mean attended position, times one minus the normalised entropy: a head that
    attends everywhere, or always to one position, scores near 0.
    """
    sums = attention.sum(axis=1)
    if len(attention) < 2 or attention.shape[1] < 2 or not (sums > 0).all():
        return 0.0
    probs = attention / sums[:, None]
    positions = probs @ np.arange(probs.shape[1])
    if positions.std() < 1e-6:
        return 0.0
    correlation = float(np.corrcoef(np.arange(len(positions)), positions)[0, 1])
    entropy = -(probs * np.log(probs + 1e-12)).sum(axis=1).mean() / np.log(probs.shape[1])
    return correlation * float(1 - entropy)
