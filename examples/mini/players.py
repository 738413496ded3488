"""How each role (drums, bass, chords, arpeggio, lead) plays a section of a song.

A player is a function of the plan, the section, the part, its pattern and its previous notes. It
returns notes in beats from the beginning of the section.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from melody import (
    ChordSpan,
    MelodyWriter,
    Tone,
    chord_at,
    ornament,
    read_steps,
    third_below,
    write_theme,
)
from patterns import ARPS, BASS, CHORDS, CRASH, DRUMS, FILLS, KICK, RIDE
from song_plan import PlacedSection, SongPlan
from styles import Part
from theory import Chord, chord_scale, nearest, parse_chord, pitches_in, place, voice_lead

LEAD_ROLES = ("lead", "third")
ACCENTS = {"X": 1.1, "x": 0.95, "o": 0.6}


@dataclass
class PreviousNotes:
    """The last notes of a part, which its next ones follow smoothly."""

    voicing: tuple[int, ...] | None = None  # of a chordal part
    pitch: int | None = None  # of a bass


def final_chord(plan: SongPlan, part: Part, previous: PreviousNotes) -> list[Tone]:
    """The notes of a part in the last bar: a note or the voicing of the final chord."""
    chord = parse_chord(plan.artist.final_chord)
    tonic = plan.sections[-1].tonic
    length = plan.artist.beats_per_bar * 0.9
    if part.role == "drums":
        cymbal = CRASH if plan.artist.crash_cymbal else RIDE
        return [Tone(plan.end, 1, pitch, 0.75) for pitch in (KICK, cymbal)]
    if part.role == "bass":
        pitches: tuple[int, ...] = (_root(chord, tonic, part, previous),)
    elif part.role in LEAD_ROLES:
        pitches = (place(tonic + chord.root, part.low, part.high, (part.low + part.high) // 2),)
    elif part.role == "power":
        pitches = _power(chord, tonic, part)
    else:
        pitches = _voicing(chord, tonic, part, previous)
    delay = 0.08 if part.role == "arp" else 0.0
    return [Tone(plan.end + i * delay, length, p, 0.85) for i, p in enumerate(pitches)]


def _bars(plan: SongPlan, placed: PlacedSection) -> list[float]:
    """The beats at which the bars of a section start."""
    return [float(b * plan.artist.beats_per_bar) for b in range(placed.section.bars)]


def _bar_steps(pattern: str, bar: int, beats: int) -> list[tuple[float, float, str]]:
    """One bar of a pattern of one or more bars."""
    steps = beats * 4
    count = max(1, len(pattern) // steps)
    at = (bar % count) * steps
    return read_steps(pattern[at : at + steps])


def _play_drums(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """A groove with a fill in every eighth bar and in the last."""
    rng = Random(f"{plan.artist.name}:{plan.seed}:{placed.kind}:{placed.repetition}:fills")
    fills = FILLS.get(plan.artist.fill, ())
    tones = []
    for bar, at in enumerate(_bars(plan, placed)):
        ends_phrase = bar == placed.section.bars - 1 or bar % 8 == 7
        grid = DRUMS[pattern]
        if ends_phrase and fills and placed.section.bars > 2 and "build" not in pattern:
            grid = rng.choice(fills)
        for pitch, strokes in grid.items():
            for start, length, stroke in _bar_steps(strokes, bar, plan.artist.beats_per_bar):
                tones.append(Tone(at + start, length, pitch, ACCENTS[stroke]))
    return tones


def _root(chord: Chord, tonic: int, part: Part, previous: PreviousNotes) -> int:
    """The bass pitch of a chord, between the last pitch and the middle of the range."""
    centre = (part.low * 2 + part.high) // 3
    near = centre if previous.pitch is None else (previous.pitch + centre) // 2
    previous.pitch = place(chord.bass_class(tonic), part.low, part.high, near)
    return previous.pitch


def _play_bass(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """A bass line: walking, one note per chord, or a pattern of chord tones."""
    if pattern == "walk":
        return _walk(plan, placed, part, previous)
    if pattern == "dotted":
        roots = ((at, n, _root(c, placed.tonic, part, previous)) for at, n, c in placed.spans)
        return [Tone(at, n, pitch, 0.95) for at, n, pitch in roots]
    tones = []
    last_chord, root = None, 0
    for bar, at in enumerate(_bars(plan, placed)):
        for start, length, step in _bar_steps(BASS[pattern], bar, plan.artist.beats_per_bar):
            beat = at + start
            chord = chord_at(placed.spans, beat)
            if chord is not last_chord:
                last_chord, root = chord, _root(chord, placed.tonic, part, previous)
            pitch = _bass_pitch(step, root, chord, placed, part, beat)
            tones.append(Tone(beat, length, pitch, 1.05 if start % 2 == 0 else 0.95))
    return tones


def _bass_pitch(
    step: str, root: int, chord: Chord, placed: PlacedSection, part: Part, beat: float
) -> int:
    """The pitch for a character of a bass pattern over a chord."""
    if step == "a":
        target = chord_at(placed.spans, beat + 0.5).bass_class(placed.tonic)
        goal = place(target, part.low, part.high, root)
        return max(part.low, goal - 2 if goal > root else goal - 1)
    seventh = next((i for i in chord.intervals if i in (9, 10, 11)), 12)
    offsets = {"1": 0, "3": chord.third(), "5": chord.fifth(), "7": seventh, "8": 12}
    wanted = root + offsets[step] - (chord.bass if step in "35" else 0)
    while wanted > part.high:
        wanted -= 12
    return wanted if wanted >= part.low else wanted + 12


def _walk(plan: SongPlan, placed: PlacedSection, part: Part, previous: PreviousNotes) -> list[Tone]:
    """A walking bass: the root of each chord, then steps that lead to the next root."""
    rng = Random(f"{plan.artist.name}:{plan.seed}:{placed.kind}:{placed.repetition % 2}:walk")
    tones = []
    for i, (at, length, chord) in enumerate(placed.spans):
        following = placed.spans[(i + 1) % len(placed.spans)][2]
        root = _root(chord, placed.tonic, part, previous)
        goal = place(following.bass_class(placed.tonic), part.low, part.high, root)
        line = [root]
        pool = pitches_in(chord_scale(placed.tonic, plan.artist.scale, chord), part.low, part.high)
        middle = [
            place(chord.root + placed.tonic + chord.third(), part.low, part.high, root + 3),
            place(chord.root + placed.tonic + chord.fifth(), part.low, part.high, root + 7),
        ]
        while len(line) < int(length) - 1:
            step = nearest(line[-1] + rng.choice((-2, 2, 2)), pool)
            line.append(middle[len(line) - 1] if rng.random() < 0.6 else step)
        if length >= 2:
            line.append(goal + rng.choice((-1, 1, 1, 2)))
        for beat, pitch in enumerate(line):
            pitch = min(max(pitch, part.low), part.high)
            tones.append(Tone(at + beat, 1.0, pitch, 1.0 if beat % 2 == 0 else 1.06))
            previous.pitch = pitch
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
    for bar, at in enumerate(_bars(plan, placed)):
        strokes = _bar_steps(CHORDS[pattern], bar, plan.artist.beats_per_bar)
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
    for bar, at in enumerate(_bars(plan, placed)):
        for start, length, stroke in _bar_steps(CHORDS[pattern], bar, plan.artist.beats_per_bar):
            pitches = _power(chord_at(placed.spans, at + start), placed.tonic, part)
            muted = length <= 0.25 and stroke != "X"
            for pitch in pitches[: 2 if muted else 3]:
                tones.append(Tone(at + start, length, pitch, 0.75 if muted else 1.0))
    return tones


def _play_arpeggio(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """Broken chords: a digit of the pattern names a voice of the chord."""
    tones = []
    current: Chord | None = None
    voicing: tuple[int, ...] = ()
    for bar, at in enumerate(_bars(plan, placed)):
        for start, length, digit in _bar_steps(ARPS[pattern], bar, plan.artist.beats_per_bar):
            beat = at + start
            chord = chord_at(placed.spans, beat)
            if chord is not current:
                current, voicing = chord, _voicing(chord, placed.tonic, part, previous)
            pitch = voicing[int(digit) % len(voicing)]
            accent = 0.95 if start % 1 == 0 else 0.82
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
    "bass": _play_bass,
    "chords": _play_chords,
    "power": _play_power,
    "arp": _play_arpeggio,
    "lead": _play_lead,
    "third": _play_third,
}
