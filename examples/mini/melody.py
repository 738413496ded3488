"""Themes: motifs that are stated, sequenced, varied and brought to a cadence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from theory import Chord, chord_scale, nearest, pitches_in

Span = tuple[float, float, Chord]


@dataclass(frozen=True)
class Tone:
    """A note of a line, in beats from the start of its section."""

    start: float
    length: float
    pitch: int
    accent: float = 1.0


@dataclass(frozen=True)
class Motif:
    """Two bars of rhythm and, for each note of them, how many scale steps the line moves."""

    rhythm: tuple[tuple[float, float], ...]
    steps: tuple[int, ...]


def read_steps(pattern: str) -> list[tuple[float, float, str]]:
    """A pattern as (start beat, beats, character), holds counted into the length."""
    strokes: list[tuple[float, float, str]] = []
    for i, char in enumerate(pattern):
        if char == "-" and strokes and strokes[-1][0] + strokes[-1][1] == i / 4:
            start, length, stroke = strokes[-1]
            strokes[-1] = (start, length + 0.25, stroke)
        elif char not in ".-":
            strokes.append((i / 4, 0.25, char))
    return strokes


def chord_at(spans: list[Span], beat: float) -> Chord:
    """The chord that sounds at a beat; past the end, the last one."""
    current = spans[0][2]
    for start, _, chord in spans:
        if start > beat + 1e-6:
            break
        current = chord
    return current


def make_motif(rng: Random, cells: tuple[str, ...], beats: int, leap: float) -> Motif:
    """Draw two bars of rhythm and a contour for them."""
    first, second = rng.choice(cells), rng.choice(cells)
    rhythm = [(s, n) for s, n, _ in read_steps(first)]
    rhythm += [(s + beats, n) for s, n, _ in read_steps(second)]
    return Motif(tuple(rhythm), draw_steps(rng, len(rhythm), leap))


def draw_steps(rng: Random, count: int, leap: float) -> tuple[int, ...]:
    """A contour of `count` notes that mostly steps, and turns back after a leap."""
    steps = [0]
    for _ in range(count - 1):
        if abs(steps[-1]) >= 3:
            steps.append(-1 if steps[-1] > 0 else 1)
        elif rng.random() < leap:
            steps.append(rng.choice((-4, -3, 3, 4, 5)))
        else:
            steps.append(rng.choice((-2, -1, -1, -1, 0, 1, 1, 1, 2)))
    return tuple(steps)


def cadence(rng: Random, cells: tuple[str, ...], beats: int) -> Motif:
    """A closing motif: a bar of movement, then one long note that comes to rest."""
    lead_in = [(s, n) for s, n, _ in read_steps(rng.choice(cells))]
    rhythm = (*lead_in, (float(beats), beats * 0.75))
    fall = rng.choice((-1, 1))
    return Motif(rhythm, (0, *(fall * rng.choice((1, 1, 2, 0)) for _ in rhythm[1:])))


def invert(motif: Motif) -> Motif:
    """The motif upside down."""
    return replace(motif, steps=tuple(-s for s in motif.steps))


class Singer:
    """Turns motifs into pitches that fit the harmony and stay in a range."""

    def __init__(self, spans: list[Span], tonic: int, scale: str, low: int, high: int) -> None:
        """Sing over the chords of `spans`, within a range."""
        self.spans, self.tonic, self.scale = spans, tonic, scale
        self.low, self.high = low, high

    def sing(self, motif: Motif, start: float, anchor: float, close: bool) -> list[Tone]:
        """The motif from a beat on, beginning near `anchor`; `close` ends it on a stable tone."""
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


def make_theme(
    rng: Random,
    singer: Singer,
    bars: int,
    beats: int,
    cells: tuple[str, ...],
    leap: float = 0.18,
) -> list[Tone]:
    """A line of `bars` bars in two-bar units: idea, sequence, return or contrast, cadence."""
    idea = make_motif(rng, cells, beats, leap)
    contrast = make_motif(rng, cells, beats, leap)
    middle = (singer.low + singer.high) / 2
    units = max(1, bars // 2)
    shift = rng.choice((-2, -1, 1, 2)) * 2
    arch = rng.choice(((0, 1, 2, 0), (0, 1, 1, -1), (1, 0, 2, 0)))
    third = rng.choice((idea, contrast, invert(idea)))
    order = (idea, idea, third, cadence(rng, cells, beats))
    theme: list[Tone] = []
    for unit in range(units):
        place = 3 if unit == units - 1 else unit % 4
        anchor = middle + 2.5 * arch[place] + (shift if place == 1 else 0)
        close = place == 3 or unit % 2 == 1
        theme += singer.sing(order[place], unit * 2 * beats, anchor, close)
    return theme


def vary(rng: Random, theme: list[Tone], singer: Singer) -> list[Tone]:
    """A returning theme, lightly ornamented: some long notes gain a neighbour on the way."""
    varied: list[Tone] = []
    for tone in theme:
        if tone.length >= 1 and rng.random() < 0.3:
            chord = chord_at(singer.spans, tone.start)
            pool = pitches_in(
                chord_scale(singer.tonic, singer.scale, chord), singer.low, singer.high
            )
            index = pool.index(nearest(tone.pitch, pool))
            neighbour = pool[index + 1] if index + 1 < len(pool) else pool[index - 1]
            half = tone.length / 2
            varied.append(replace(tone, length=half))
            varied.append(Tone(tone.start + half, half / 2, neighbour, 0.9))
            varied.append(Tone(tone.start + 1.5 * half, half / 2, tone.pitch, 0.9))
        else:
            varied.append(tone)
    return varied


def third_below(theme: list[Tone], singer: Singer) -> list[Tone]:
    """A second voice, two scale steps under the theme."""
    lower = []
    for tone in theme:
        chord = chord_at(singer.spans, tone.start)
        pool = pitches_in(
            chord_scale(singer.tonic, singer.scale, chord), singer.low - 12, singer.high
        )
        index = pool.index(nearest(tone.pitch, pool))
        lower.append(replace(tone, pitch=pool[max(0, index - 2)], accent=tone.accent * 0.85))
    return lower
