"""Themes: motifs that are stated, sequenced, ornamented and brought to a cadence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from theory import Chord, chord_scale, nearest, pitches_in

ChordSpan = tuple[float, float, Chord]


@dataclass(frozen=True)
class Tone:
    """A note, in beats from the beginning of its section."""

    start: float
    length: float
    pitch: int
    accent: float = 1.0


@dataclass
class PreviousNotes:
    """The last notes of a part, which its next ones follow smoothly."""

    voicing: tuple[int, ...] | None = None  # of a chordal part
    pitch: int | None = None  # of a bass


@dataclass(frozen=True)
class Motif:
    """A melodic idea of two bars."""

    rhythm: tuple[tuple[float, float], ...]  # start and length of each note, in beats
    steps: tuple[int, ...]  # scale steps from the note before


def read_steps(pattern: str) -> list[tuple[float, float, str]]:
    """The strokes of a pattern: (start, length, character), in beats; "-" lengthens a stroke."""
    strokes: list[tuple[float, float, str]] = []
    for i, char in enumerate(pattern):
        if char == "-" and strokes and strokes[-1][0] + strokes[-1][1] == i / 4:
            start, length, stroke = strokes[-1]
            strokes[-1] = (start, length + 0.25, stroke)
        elif char not in ".-":
            strokes.append((i / 4, 0.25, char))
    return strokes


def bar_steps(pattern: str, bar: int, beats: int) -> list[tuple[float, float, str]]:
    """One bar of a pattern of one or more bars."""
    steps = beats * 4
    count = max(1, len(pattern) // steps)
    at = (bar % count) * steps
    return read_steps(pattern[at : at + steps])


def chord_at(spans: list[ChordSpan], beat: float) -> Chord:
    """The chord at a beat; past the end, the last one."""
    current = spans[0][2]
    for start, _, chord in spans:
        if start > beat + 1e-6:
            break
        current = chord
    return current


def make_motif(rng: Random, rhythms: tuple[str, ...], beats: int, leap_probability: float) -> Motif:
    """A random motif with two of the one-bar rhythms."""
    first, second = rng.choice(rhythms), rng.choice(rhythms)
    rhythm = [(s, n) for s, n, _ in read_steps(first)]
    rhythm += [(s + beats, n) for s, n, _ in read_steps(second)]
    return Motif(tuple(rhythm), draw_steps(rng, len(rhythm), leap_probability))


def draw_steps(rng: Random, count: int, leap_probability: float) -> tuple[int, ...]:
    """A contour of `count` notes that mostly steps, and turns back after a leap."""
    steps = [0]
    for _ in range(count - 1):
        if abs(steps[-1]) >= 3:
            steps.append(-1 if steps[-1] > 0 else 1)
        elif rng.random() < leap_probability:
            steps.append(rng.choice((-4, -3, 3, 4, 5)))
        else:
            steps.append(rng.choice((-2, -1, -1, -1, 0, 1, 1, 1, 2)))
    return tuple(steps)


def cadence(rng: Random, rhythms: tuple[str, ...], beats: int) -> Motif:
    """A closing motif: a bar of movement, then one long note."""
    lead_in = [(s, n) for s, n, _ in read_steps(rng.choice(rhythms))]
    rhythm = (*lead_in, (float(beats), beats * 0.75))
    fall = rng.choice((-1, 1))
    return Motif(rhythm, (0, *(fall * rng.choice((1, 1, 2, 0)) for _ in rhythm[1:])))


def invert(motif: Motif) -> Motif:
    """The motif with its intervals inverted."""
    return replace(motif, steps=tuple(-s for s in motif.steps))


class MelodyWriter:
    """Sets motifs to pitches that fit the harmony and stay in a range."""

    def __init__(self, spans: list[ChordSpan], tonic: int, scale: str, low: int, high: int) -> None:
        """A writer over the chords of `spans` with pitches from `low` to `high`."""
        self.spans, self.tonic, self.scale = spans, tonic, scale
        self.low, self.high = low, high

    def write(self, motif: Motif, start: float, anchor: float, close: bool) -> list[Tone]:
        """The motif from beat `start` on, beginning near the pitch `anchor`; `close` ends it on a
        tone of the triad."""
        tones: list[Tone] = []
        pitch = anchor
        last = len(motif.steps) - 1
        for i, ((at, length), step) in enumerate(zip(motif.rhythm, motif.steps, strict=True)):
            beat = start + at
            chord = chord_at(self.spans, beat)
            pool = pitches_in(chord_scale(self.tonic, self.scale, chord), self.low, self.high)
            index = pool.index(nearest(pitch, pool)) + step
            index = -index if index < 0 else index
            index = 2 * (len(pool) - 1) - index if index >= len(pool) else index
            pitch = pool[max(0, min(index, len(pool) - 1))]
            if at % 2 == 0 or length >= 1 or i == last:
                tonics = chord.classes(self.tonic)
                stable = tonics[:3] if close and i == last else tonics
                pitch = nearest(pitch, pitches_in(stable, self.low, self.high))
            tones.append(Tone(beat, length, int(pitch), 1.12 if at % 2 == 0 else 0.95))
        return tones


def write_theme(
    rng: Random,
    writer: MelodyWriter,
    bars: int,
    beats: int,
    rhythms: tuple[str, ...],
    leap_probability: float = 0.18,
) -> list[Tone]:
    """A melody in units of two bars: idea, sequence, return or contrast, cadence."""
    idea = make_motif(rng, rhythms, beats, leap_probability)
    contrast = make_motif(rng, rhythms, beats, leap_probability)
    middle = (writer.low + writer.high) / 2
    units = max(1, bars // 2)
    shift = rng.choice((-2, -1, 1, 2)) * 2
    arch = rng.choice(((0, 1, 2, 0), (0, 1, 1, -1), (1, 0, 2, 0)))
    third = rng.choice((idea, contrast, invert(idea)))
    order = (idea, idea, third, cadence(rng, rhythms, beats))
    theme: list[Tone] = []
    for unit in range(units):
        place = 3 if unit == units - 1 else unit % 4
        anchor = middle + 2.5 * arch[place] + (shift if place == 1 else 0)
        close = place == 3 or unit % 2 == 1
        theme += writer.write(order[place], unit * 2 * beats, anchor, close)
    return theme


def ornament(rng: Random, theme: list[Tone], writer: MelodyWriter) -> list[Tone]:
    """A returning theme in which some long notes are replaced by a turn to a neighbour note."""
    ornamented: list[Tone] = []
    for tone in theme:
        if tone.length >= 1 and rng.random() < 0.3:
            chord = chord_at(writer.spans, tone.start)
            pool = pitches_in(
                chord_scale(writer.tonic, writer.scale, chord), writer.low, writer.high
            )
            index = pool.index(nearest(tone.pitch, pool))
            neighbour = pool[index + 1] if index + 1 < len(pool) else pool[index - 1]
            half = tone.length / 2
            ornamented.append(replace(tone, length=half))
            ornamented.append(Tone(tone.start + half, half / 2, neighbour, 0.9))
            ornamented.append(Tone(tone.start + 1.5 * half, half / 2, tone.pitch, 0.9))
        else:
            ornamented.append(tone)
    return ornamented


def third_below(theme: list[Tone], writer: MelodyWriter) -> list[Tone]:
    """A second voice, two scale steps below the theme."""
    lower = []
    for tone in theme:
        chord = chord_at(writer.spans, tone.start)
        pool = pitches_in(
            chord_scale(writer.tonic, writer.scale, chord), writer.low - 12, writer.high
        )
        index = pool.index(nearest(tone.pitch, pool))
        lower.append(replace(tone, pitch=pool[max(0, index - 2)], accent=tone.accent * 0.85))
    return lower
