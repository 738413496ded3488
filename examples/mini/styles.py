"""What describes an artist: parts, sections, forms and rhythms. `artists` has the artists.

The arrangement of a section is a text of "part=pattern" words that say what each part plays. "a|b"
is a choice that is made once per song. Patterns are those of `patterns.py`, with underscores for
spaces. For a lead part, the pattern is the name of a theme, whose rhythms the artist lists.
Sections with the same theme have the same melody; a theme marked * is new each time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One instrument of a band."""

    name: str
    role: str  # how it plays: a key of `players.PLAYERS`
    program: int  # General MIDI, counted from 0
    low: int  # its range in MIDI pitches, inclusive
    high: int
    gain_db: float = 0.0
    num_voices: int = 3  # notes of its chords
    ring_beats: float = 0.0  # that notes of an arpeggio last beyond their step
    strum_seconds: float = 0.0  # between the notes of a chord
    articulation: float = 0.95  # sounding over written duration of a note


@dataclass(frozen=True)
class Section:
    """A section of a form, such as a verse."""

    bars: int
    progressions: tuple[str, ...]  # one is drawn per song
    arrangement: str
    energy: float = 0.7  # loudness, 0 to 1
    transpose: int = 0  # semitones, for a last chorus in a higher key

    def options(self) -> dict[str, list[str]]:
        """The patterns that each part can play here, by the name of the part."""
        pairs = (word.split("=") for word in self.arrangement.split())
        return {name: patterns.replace("_", " ").split("|") for name, patterns in pairs}


@dataclass(frozen=True)
class Artist:
    """The style of a band."""

    name: str
    genre: str
    tempo: tuple[int, int]  # range in beats per minute
    tonics: tuple[int, ...]  # MIDI pitches of its keys
    scale: str  # of the harmony: a key of `theory.SCALES`
    melody_scale: str
    parts: tuple[Part, ...]
    sections: dict[str, Section]
    forms: tuple[str, ...]  # orders of sections
    rhythms: dict[str, tuple[str, ...]]  # one-bar rhythms of each theme
    fill: str = ""  # drum fills: a key of `patterns.FILLS`
    drum_kit: int = 0  # General MIDI program
    beats_per_bar: int = 4
    swing: float = 0.5  # where the off-beat eighth lies in the beat; 0.5 is straight
    leap_probability: float = 0.18  # of a melody note being a third or more away
    timing_jitter: float = 0.006  # standard deviation of note onsets, in seconds
    final_chord: str = "I"
    crash_cymbal: bool = True  # whether sections begin with one


def drums(gain_db: float = 0.0) -> Part:
    """A drum part; the artist says which kit it plays."""
    return Part("drums", "drums", 0, 0, 127, gain_db)
