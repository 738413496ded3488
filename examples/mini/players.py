"""How each role (drums, bass, chords, arpeggio, lead) plays a section of a song.

A player is a function of the plan, the section, the part, its pattern and its previous notes. It
returns notes in beats from the beginning of the section.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from random import Random

from bass import play_bass, root_pitch
from melody import (
    ChordSpan,
    MelodyWriter,
    PreviousNotes,
    Tone,
    bar_steps,
    chord_at,
    ornament,
    third_below,
    write_theme,
)
from patterns import ARPS, CHORDS, CRASH, DRUMS, FILLS, KICK, RIDE
from song_plan import PlacedSection, SongPlan, bar_starts, pattern_strokes
from styles import Part
from theory import Chord, parse_chord, place, voice_lead

LEAD_ROLES = ("lead", "third")
ACCENTS = {"X": 1.1, "x": 0.95, "o": 0.6}


def final_chord(plan: SongPlan, part: Part, previous: PreviousNotes) -> list[Tone]:
    """The notes of a part in the last bar: a note or the voicing of the final chord."""
    chord = parse_chord(plan.artist.final_chord)
    tonic = plan.sections[-1].tonic
    length = plan.artist.beats_per_bar * 0.9
    if part.role == "drums":
        cymbal = CRASH if plan.artist.crash_cymbal else RIDE
        return [Tone(plan.end, 1, pitch, 0.75) for pitch in (KICK, cymbal)]
    if part.role == "bass":
        pitches: tuple[int, ...] = (root_pitch(chord, tonic, part, previous),)
    elif part.role in LEAD_ROLES:
        pitches = (place(tonic + chord.root, part.low, part.high, (part.low + part.high) // 2),)
    elif part.role == "power":
        pitches = _power(chord, tonic, part)
    else:
        pitches = _voicing(chord, tonic, part, previous)
    delay = 0.08 if part.role == "arp" else 0.0
    return [Tone(plan.end + i * delay, length, p, 0.85) for i, p in enumerate(pitches)]


def _play_drums(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """A groove with a fill in every eighth bar and in the last."""
    rng = Random(f"{plan.artist.name}:{plan.seed}:{placed.kind}:{placed.repetition}:fills")
    fills = FILLS.get(plan.artist.fill, ())
    tones = []
    for bar, at in enumerate(bar_starts(plan, placed)):
        ends_phrase = bar == placed.section.bars - 1 or bar % 8 == 7
        grid = DRUMS[pattern]
        if ends_phrase and fills and placed.section.bars > 2 and "build" not in pattern:
            grid = rng.choice(fills)
        for pitch, strokes in grid.items():
            for start, length, stroke in bar_steps(strokes, bar, plan.artist.beats_per_bar):
                tones.append(Tone(at + start, length, pitch, ACCENTS[stroke]))
    return tones


def _voicing(chord: Chord, tonic: int, part: Part, previous: PreviousNotes) -> tuple[int, ...]:
    """The voicing of a chord that is nearest to the last one."""
    classes = chord.classes(tonic)
    previous.voicing = voice_lead(previous.voicing, classes, part.low, part.high, part.num_voices)
    return previous.voicing


def _power(chord: Chord, tonic: int, part: Part) -> tuple[int, ...]:
    """Root, fifth and octave, low on the guitar."""
    root = place(tonic + chord.root, part.low, part.high - 12, part.low + 4)
    return (root, root + chord.fifth(), root + 12)


def _play_chords(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """Chords in a rhythm; a held chord is struck again where the harmony changes."""
    tones = []
    strum = part.strum_seconds * plan.bpm / 60
    current: Chord | None = None
    voicing: tuple[int, ...] = ()
    for bar, at in enumerate(bar_starts(plan, placed)):
        strokes = bar_steps(CHORDS[pattern], bar, plan.artist.beats_per_bar)
        for start, length, stroke in _split_at_changes(strokes, placed.spans, at):
            chord = chord_at(placed.spans, at + start)
            if chord is not current:
                current, voicing = chord, _voicing(chord, placed.tonic, part, previous)
            for i, pitch in enumerate(voicing):
                delay = i * strum
                accent = ACCENTS[stroke] * 0.85
                tones.append(Tone(at + start + delay, length - delay, pitch, accent))
    return tones


def _split_at_changes(
    strokes: list[tuple[float, float, str]], spans: list[ChordSpan], at: float
) -> list[tuple[float, float, str]]:
    """The strokes of the bar at beat `at`, divided where the harmony changes."""
    changes = [start - at for start, _, _ in spans]
    pieces = []
    for start, length, stroke in strokes:
        cuts = [c for c in changes if start < c < start + length]
        edges = [start, *cuts, start + length]
        pieces += [(a, b - a, stroke) for a, b in pairwise(edges)]
    return pieces


def _play_power(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """Power chords; unaccented sixteenths are palm-muted: softer and without the octave."""
    tones = []
    for beat, length, stroke, chord in pattern_strokes(plan, placed, CHORDS[pattern]):
        pitches = _power(chord, placed.tonic, part)
        muted = length <= 0.25 and stroke != "X"
        for pitch in pitches[: 2 if muted else 3]:
            tones.append(Tone(beat, length, pitch, 0.75 if muted else 1.0))
    return tones


def _play_arpeggio(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """Broken chords: a digit of the pattern names a voice of the chord."""
    tones = []
    current: Chord | None = None
    voicing: tuple[int, ...] = ()
    for beat, length, digit, chord in pattern_strokes(plan, placed, ARPS[pattern]):
        if chord is not current:
            current, voicing = chord, _voicing(chord, placed.tonic, part, previous)
        pitch = voicing[int(digit) % len(voicing)]
        accent = 0.95 if beat % 1 == 0 else 0.82
        tones.append(Tone(beat, length + part.ring_beats, pitch, accent))
    return tones


def _theme(
    plan: SongPlan, placed: PlacedSection, part: Part, name: str
) -> tuple[list[Tone], MelodyWriter]:
    """The melody of a theme over a section, in the home key; a name ending in * is new each time.

    It stays low enough for sections that transpose it.
    """
    is_new = name.endswith("*")
    name = name.rstrip("*")
    artist = plan.artist
    top = part.high - max(section.transpose for section in artist.sections.values())
    writer = MelodyWriter(placed.spans, plan.tonic, artist.melody_scale, part.low, top)
    take = f":{placed.repetition}" if is_new else ""
    rng = Random(f"{artist.name}:{plan.seed}:{name}{take}")
    theme = write_theme(
        rng,
        writer,
        placed.section.bars,
        artist.beats_per_bar,
        artist.rhythms[name],
        artist.leap_probability,
    )
    if placed.repetition and not is_new:
        theme = ornament(
            Random(f"{artist.name}:{plan.seed}:{name}:{placed.repetition}"), theme, writer
        )
    return theme, writer


def _play_lead(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """A theme or a solo."""
    theme, _ = _theme(plan, placed, part, pattern)
    return [replace(t, pitch=t.pitch + placed.section.transpose) for t in theme]


def _play_third(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """A second voice a third below the theme of another part, which `pattern` names."""
    leader = next(p for p in plan.artist.parts if p.name == pattern)
    theme, writer = _theme(plan, placed, leader, placed.patterns[pattern])
    lower = third_below(theme, writer)
    return [
        replace(t, pitch=_octave_in_range(t.pitch + placed.section.transpose, part)) for t in lower
    ]


def _octave_in_range(pitch: int, part: Part) -> int:
    """A pitch, transposed by octaves into the range of a part."""
    while pitch < part.low:
        pitch += 12
    while pitch > part.high:
        pitch -= 12
    return pitch


PLAYERS: dict[str, Callable[[SongPlan, PlacedSection, Part, str, PreviousNotes], list[Tone]]] = {
    "drums": _play_drums,
    "bass": play_bass,
    "chords": _play_chords,
    "power": _play_power,
    "arp": _play_arpeggio,
    "lead": _play_lead,
    "third": _play_third,
}
