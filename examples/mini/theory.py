"""Scales, chords and voice leading.

Chords are roman numerals relative to a tonic ("vi7", "bVII", "V7_3"), so that a progression can be
used in every key. Pitches are MIDI note numbers, pitch classes are 0..11.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations, pairwise

SCALES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
}

_NUMERALS = {"i": 0, "ii": 2, "iii": 4, "iv": 5, "v": 7, "vi": 9, "vii": 11}
_QUALITIES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    # suffix: (intervals after an upper-case numeral, intervals after a lower-case one)
    "": ((0, 4, 7), (0, 3, 7)),
    "5": ((0, 7), (0, 7)),
    "6": ((0, 4, 7, 9), (0, 3, 7, 9)),
    "7": ((0, 4, 7, 10), (0, 3, 7, 10)),
    "9": ((0, 4, 7, 10, 14), (0, 3, 7, 10, 14)),
    "13": ((0, 4, 10, 14, 21), (0, 3, 10, 14, 21)),
    "maj7": ((0, 4, 7, 11), (0, 3, 7, 11)),
    "maj9": ((0, 4, 7, 11, 14), (0, 3, 7, 11, 14)),
    "add9": ((0, 4, 7, 14), (0, 3, 7, 14)),
    "sus2": ((0, 2, 7), (0, 2, 7)),
    "sus4": ((0, 5, 7), (0, 5, 7)),
    "dim": ((0, 3, 6), (0, 3, 6)),
    "dim7": ((0, 3, 6, 9), (0, 3, 6, 9)),
    "m7b5": ((0, 3, 6, 10), (0, 3, 6, 10)),
    "alt": ((0, 4, 10, 13, 15), (0, 4, 10, 13, 15)),
}
_SYMBOL = re.compile(r"^(b|#)?(VII|VI|IV|V|III|II|I|vii|vi|iv|v|iii|ii|i)([a-z0-9]*?)(?:_([35]))?$")


@dataclass(frozen=True)
class Chord:
    """A chord relative to the tonic, in semitones."""

    root: int  # above the tonic
    intervals: tuple[int, ...]  # above the root
    bass: int = 0  # above the root

    def classes(self, tonic: int) -> tuple[int, ...]:
        """Pitch classes in the key on `tonic`, the root first."""
        return tuple(dict.fromkeys((tonic + self.root + i) % 12 for i in self.intervals))

    def bass_class(self, tonic: int) -> int:
        """The pitch class of the lowest voice."""
        return (tonic + self.root + self.bass) % 12

    def third(self) -> int:
        """The interval of the third, or of the second or fourth that replaces it."""
        return next((i for i in self.intervals if i in (2, 3, 4, 5)), 7)

    def fifth(self) -> int:
        """The interval of the fifth, which is lowered in a diminished chord."""
        return next((i for i in self.intervals if i in (6, 7)), 7)


@cache
def parse_chord(symbol: str) -> Chord:
    """The chord of a numeral such as "bVI", "ii7" or "V7_3" (with the third in the bass).

    Raises ValueError for anything else.
    """
    match = _SYMBOL.match(symbol)
    if match is None or match[3] not in _QUALITIES:
        raise ValueError(f"not a chord: {symbol!r}")
    accidental, numeral, quality, inversion = match.groups()
    root = _NUMERALS[numeral.lower()] + {"b": -1, "#": 1, None: 0}[accidental]
    intervals = _QUALITIES[quality][0 if numeral.isupper() else 1]
    chord = Chord(root % 12, intervals)
    if inversion is None:
        return chord
    return Chord(chord.root, intervals, chord.third() if inversion == "3" else chord.fifth())


def parse_progression(text: str, bars: int, beats: int) -> list[tuple[float, float, Chord]]:
    """The chords of a progression such as "I vi ii7/V7 I": (start, length, chord), in beats.

    There is a word for each bar; several chords in a bar are joined by slashes. A progression with
    fewer than `bars` bars is repeated.
    """
    bar_symbols = text.split()
    spans = []
    for bar in range(bars):
        symbols = bar_symbols[bar % len(bar_symbols)].split("/")
        length = beats / len(symbols)
        for i, symbol in enumerate(symbols):
            spans.append((bar * beats + i * length, length, parse_chord(symbol)))
    return spans


# The scale steps that a tone outside the scale replaces, in semitones above the tonic: a flat third
# replaces the third, and so on.
_REPLACES = {1: (0, 2), 3: (4,), 4: (3,), 6: (5,), 8: (7, 9), 9: (8,), 10: (11,), 11: (10,)}


@cache
def chord_scale(tonic: int, scale: str, chord: Chord) -> tuple[int, ...]:
    """The pitch classes of a key's scale, in which tones of the chord outside the scale replace the
    steps that they alter."""
    tones = {(chord.root + i) % 12 for i in chord.intervals}
    base = set(SCALES[scale])
    altered = {step for tone in tones - base for step in _REPLACES.get(tone, ())}
    return tuple(sorted((tonic + step) % 12 for step in (base - altered) | tones))


@cache
def pitches_in(classes: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
    """All pitches between `low` and `high`, inclusive, of the given pitch classes."""
    return tuple(p for p in range(low, high + 1) if p % 12 in classes)


def nearest(pitch: float, pool: tuple[int, ...]) -> int:
    """The pitch of `pool` that is nearest to `pitch`; of two, the lower."""
    return min(pool, key=lambda p: (abs(p - pitch), p))


def place(pitch_class: int, low: int, high: int, near: int) -> int:
    """The pitch of a class in a range that is nearest to `near`."""
    pool = pitches_in((pitch_class % 12,), low, max(high, low + 11))
    return nearest(near, pool)


def _parallels(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    """The number of parallel fifths and octaves between two voicings."""
    count = 0
    for i, j in combinations(range(len(after)), 2):
        moved = before[i] != after[i]
        gaps = {(before[j] - before[i]) % 12, (after[j] - after[i]) % 12}
        count += moved and gaps in ({0}, {7})
    return count


@lru_cache(maxsize=65536)
def voice_lead(
    previous: tuple[int, ...] | None,
    classes: tuple[int, ...],
    low: int,
    high: int,
    voices: int,
) -> tuple[int, ...]:
    """The voicing of a chord that moves least from `previous`, in ascending order.

    The cost is a sum over movement, wide or muddy spacing, missing chord tones, and parallel fifths
    and octaves.
    """
    pool = pitches_in(classes, low, high)
    voices = min(voices, len(pool))
    centre = (low + high) / 2
    # Where there are more chord tones than voices, the root or the fifth is left out first.
    weight = {pc: (4.0 if i in (0, 2) else 9.0) for i, pc in enumerate(classes)}

    def cost(voicing: tuple[int, ...]) -> float:
        total = sum(w for pc, w in weight.items() if all(p % 12 != pc for p in voicing))
        total += sum(max(0, b - a - 9) for a, b in pairwise(voicing))
        total += sum(4 for a, b in pairwise(voicing) if b - a < 3 and a < 55)
        total += 0.15 * abs(sum(voicing) / len(voicing) - centre)
        if previous is not None and len(previous) == len(voicing):
            total += 0.5 * sum(abs(a - b) for a, b in zip(previous, voicing, strict=True))
            total += 6 * _parallels(previous, voicing)
        return total

    return min(combinations(pool, voices), key=lambda v: (cost(v), v))
