"""The plan of a song: tempo, key, form, progressions and patterns, before any note.

Random generators are seeded with names such as "artist:seed:chorus:patterns", so that a section
which returns has the same material.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from melody import ChordSpan, bar_steps, chord_at
from styles import Artist, Section
from theory import Chord, parse_progression


@dataclass(frozen=True)
class PlacedSection:
    """A section at its position in a song."""

    kind: str  # the name of the section in the form
    section: Section
    start: float  # beats from the beginning of the song
    spans: list[ChordSpan]
    repetition: int  # how many sections of its kind come before it
    tonic: int  # MIDI pitch
    patterns: dict[str, str]  # what each part plays, by the name of the part


@dataclass(frozen=True)
class SongPlan:
    """A song before its notes are written."""

    artist: Artist
    seed: int
    bpm: float
    tonic: int  # MIDI pitch
    sections: tuple[PlacedSection, ...]
    end: float  # beats

    @property
    def kinds(self) -> list[str]:
        """The form, as the kinds of its sections."""
        return [section.kind for section in self.sections]


def plan_song(artist: Artist, seed: int) -> SongPlan:
    """The plan of an artist's song; the same for the same seed."""
    rng = Random(f"{artist.name}:{seed}:plan")
    bpm = float(rng.randint(*artist.tempo))
    tonic = rng.choice(artist.tonics)
    form = rng.choice(artist.forms).split()
    chosen: dict[str, str] = {}
    sections, beat = [], 0.0
    for i, kind in enumerate(form):
        section = artist.sections[kind]
        options = "|".join(section.progressions)
        chosen.setdefault(options, rng.choice(section.progressions))
        spans = parse_progression(chosen[options], section.bars, artist.beats_per_bar)
        key = tonic + section.transpose
        patterns = _choose_patterns(artist, seed, kind)
        sections.append(
            PlacedSection(kind, section, beat, spans, form[:i].count(kind), key, patterns)
        )
        beat += section.bars * artist.beats_per_bar
    return SongPlan(artist, seed, bpm, tonic, tuple(sections), beat)


def _choose_patterns(artist: Artist, seed: int, kind: str) -> dict[str, str]:
    """The pattern of each part in a kind of section, the same wherever the section returns."""
    rng = Random(f"{artist.name}:{seed}:{kind}:patterns")
    options = artist.sections[kind].options()
    return {name: rng.choice(patterns) for name, patterns in options.items()}


def bar_starts(plan: SongPlan, placed: PlacedSection) -> list[float]:
    """The beats at which the bars of a section start."""
    return [float(b * plan.artist.beats_per_bar) for b in range(placed.section.bars)]


def pattern_strokes(
    plan: SongPlan, placed: PlacedSection, pattern: str
) -> Iterator[tuple[float, float, str, Chord]]:
    """The strokes of a pattern that is repeated over a section: (start, length, character, chord),
    in beats."""
    for bar, at in enumerate(bar_starts(plan, placed)):
        for start, length, stroke in bar_steps(pattern, bar, plan.artist.beats_per_bar):
            yield at + start, length, stroke, chord_at(placed.spans, at + start)
