"""Planning: tempo, key, form and progressions of a song, before any note of it is written.

Everything random in a song is drawn from generators seeded with names such as
"artist:seed:chorus:patterns", so a section that returns brings its own material back.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from melody import Span
from styles import Artist, Section
from theory import parse_progression


@dataclass(frozen=True)
class Placed:
    """A section in its place in the song, with the pattern that each part plays in it.

    `turn` counts how often its kind has been heard before.
    """

    kind: str
    section: Section
    start: float
    spans: list[Span]
    turn: int
    tonic: int
    playing: dict[str, str]


@dataclass(frozen=True)
class Plan:
    """A song before its notes: who plays, how fast, in which key, and which sections."""

    artist: Artist
    seed: int
    bpm: float
    tonic: int
    placed: tuple[Placed, ...]
    end: float

    @property
    def kinds(self) -> list[str]:
        """The form, as the kinds of its sections."""
        return [p.kind for p in self.placed]


def plan_song(artist: Artist, seed: int) -> Plan:
    """Choose tempo, key, form and progressions."""
    rng = Random(f"{artist.name}:{seed}:plan")
    bpm = float(rng.randint(*artist.tempo))
    tonic = rng.choice(artist.tonics)
    form = rng.choice(artist.forms).split()
    chosen: dict[str, str] = {}
    placed, beat = [], 0.0
    for i, kind in enumerate(form):
        section = artist.sections[kind]
        options = "|".join(section.progressions)
        chosen.setdefault(options, rng.choice(section.progressions))
        spans = parse_progression(chosen[options], section.bars, artist.beats)
        key = tonic + section.lift
        playing = _choose_patterns(artist, seed, kind)
        placed.append(Placed(kind, section, beat, spans, form[:i].count(kind), key, playing))
        beat += section.bars * artist.beats
    return Plan(artist, seed, bpm, tonic, tuple(placed), beat)


def _choose_patterns(artist: Artist, seed: int, kind: str) -> dict[str, str]:
    """What each part plays in a kind of section, the same wherever the section returns."""
    rng = Random(f"{artist.name}:{seed}:{kind}:patterns")
    options = artist.sections[kind].options()
    return {name: rng.choice(patterns) for name, patterns in options.items()}
