"""Players: how each role (drums, bass, chords, arpeggio, lead) plays a section of a song.

A player gets the plan, the section, its part, the pattern it was given and what it remembers, and
returns its notes in beats from the start of the section.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from melody import Singer, Span, Tone, chord_at, make_theme, read_steps, third_below, vary
from patterns import ARPS, BASS, CHORDS, CRASH, DRUMS, FILLS, KICK, RIDE
from song_plan import Placed, Plan
from styles import Part
from theory import Chord, chord_scale, nearest, parse_chord, pitches_in, place, voice_lead

LEAD_ROLES = ("lead", "third")
STROKES = {"X": 1.1, "x": 0.95, "o": 0.6}


@dataclass
class State:
    """What a part remembers from chord to chord: its last voicing and its last bass pitch."""

    voicing: tuple[int, ...] | None = None
    pitch: int | None = None


def final_chord(plan: Plan, part: Part, state: State) -> list[Tone]:
    """The last bar: every part that is still playing comes to rest on the closing chord."""
    chord = parse_chord(plan.artist.close)
    tonic = plan.placed[-1].tonic
    length = plan.artist.beats * 0.9
    if part.role == "drums":
        cymbal = CRASH if plan.artist.crash else RIDE
        return [Tone(plan.end, 1, pitch, 0.75) for pitch in (KICK, cymbal)]
    if part.role == "bass":
        pitches: tuple[int, ...] = (_root(chord, tonic, part, state),)
    elif part.role in LEAD_ROLES:
        pitches = (place(tonic + chord.root, part.low, part.high, (part.low + part.high) // 2),)
    elif part.role == "power":
        pitches = _power(chord, tonic, part)
    else:
        pitches = _voicing(chord, tonic, part, state)
    spread = 0.08 if part.role == "arp" else 0.0
    return [Tone(plan.end + i * spread, length, p, 0.85) for i, p in enumerate(pitches)]


def _bars(plan: Plan, placed: Placed) -> list[float]:
    """The beats at which the bars of a section start."""
    return [float(b * plan.artist.beats) for b in range(placed.section.bars)]


def _bar_steps(pattern: str, bar: int, beats: int) -> list[tuple[float, float, str]]:
    """One bar of a pattern that may be several bars long."""
    steps = beats * 4
    count = max(1, len(pattern) // steps)
    at = (bar % count) * steps
    return read_steps(pattern[at : at + steps])


def _play_drums(plan: Plan, placed: Placed, part: Part, pattern: str, state: State) -> list[Tone]:
    """A groove, with a fill in the last bar of every eight and of the section."""
    rng = Random(f"{plan.artist.name}:{plan.seed}:{placed.kind}:{placed.turn}:fills")
    fills = FILLS.get(plan.artist.fill, ())
    tones = []
    for bar, at in enumerate(_bars(plan, placed)):
        closing = bar == placed.section.bars - 1 or bar % 8 == 7
        grid = DRUMS[pattern]
        if closing and fills and placed.section.bars > 2 and "build" not in pattern:
            grid = rng.choice(fills)
        for pitch, strokes in grid.items():
            for start, length, stroke in _bar_steps(strokes, bar, plan.artist.beats):
                tones.append(Tone(at + start, length, pitch, STROKES[stroke]))
    return tones


def _root(chord: Chord, tonic: int, part: Part, state: State) -> int:
    """The bass pitch of a chord, near the last one but drawn towards the middle of the range."""
    centre = (part.low * 2 + part.high) // 3
    near = centre if state.pitch is None else (state.pitch + centre) // 2
    state.pitch = place(chord.bass_class(tonic), part.low, part.high, near)
    return state.pitch


def _play_bass(plan: Plan, placed: Placed, part: Part, pattern: str, state: State) -> list[Tone]:
    """A bass line: walking, one long note a bar, or a pattern of chord tones."""
    if pattern == "walk":
        return _walk(plan, placed, part, state)
    if pattern == "dotted":
        roots = ((at, n, _root(c, placed.tonic, part, state)) for at, n, c in placed.spans)
        return [Tone(at, n, pitch, 0.95) for at, n, pitch in roots]
    tones = []
    last_chord, root = None, 0
    for bar, at in enumerate(_bars(plan, placed)):
        for start, length, step in _bar_steps(BASS[pattern], bar, plan.artist.beats):
            beat = at + start
            chord = chord_at(placed.spans, beat)
            if chord is not last_chord:
                last_chord, root = chord, _root(chord, placed.tonic, part, state)
            pitch = _bass_pitch(step, root, chord, placed, part, beat)
            tones.append(Tone(beat, length, pitch, 1.05 if start % 2 == 0 else 0.95))
    return tones


def _bass_pitch(step: str, root: int, chord: Chord, placed: Placed, part: Part, beat: float) -> int:
    """The pitch that a bass pattern's character names over a chord."""
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


def _walk(plan: Plan, placed: Placed, part: Part, state: State) -> list[Tone]:
    """A walking bass: a root on each change, then steps that lead into the next one."""
    rng = Random(f"{plan.artist.name}:{plan.seed}:{placed.kind}:{placed.turn % 2}:walk")
    tones = []
    for i, (at, length, chord) in enumerate(placed.spans):
        following = placed.spans[(i + 1) % len(placed.spans)][2]
        root = _root(chord, placed.tonic, part, state)
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
            state.pitch = pitch
    return tones


def _voicing(chord: Chord, tonic: int, part: Part, state: State) -> tuple[int, ...]:
    """The next voicing of a chordal part, led from its last one."""
    classes = chord.classes(tonic)
    state.voicing = voice_lead(state.voicing, classes, part.low, part.high, part.voices)
    return state.voicing


def _power(chord: Chord, tonic: int, part: Part) -> tuple[int, ...]:
    """Root, fifth and octave, low on the guitar."""
    root = place(tonic + chord.root, part.low, part.high - 12, part.low + 4)
    return (root, root + chord.fifth(), root + 12)


def _play_chords(plan: Plan, placed: Placed, part: Part, pattern: str, state: State) -> list[Tone]:
    """Chords struck in a rhythm; a held stroke is struck again where the chord changes."""
    tones = []
    strum = part.strum * plan.bpm / 60
    current: Chord | None = None
    voicing: tuple[int, ...] = ()
    for bar, at in enumerate(_bars(plan, placed)):
        strokes = _bar_steps(CHORDS[pattern], bar, plan.artist.beats)
        for start, length, stroke in _split_at_changes(strokes, placed.spans, at):
            chord = chord_at(placed.spans, at + start)
            if chord is not current:
                current, voicing = chord, _voicing(chord, placed.tonic, part, state)
            for i, pitch in enumerate(voicing):
                delay = i * strum
                accent = STROKES[stroke] * 0.85
                tones.append(Tone(at + start + delay, length - delay, pitch, accent))
    return tones


def _split_at_changes(
    strokes: list[tuple[float, float, str]], spans: list[Span], at: float
) -> list[tuple[float, float, str]]:
    """Cut the strokes of the bar at `at` wherever a new chord starts under them."""
    changes = [start - at for start, _, _ in spans]
    pieces = []
    for start, length, stroke in strokes:
        cuts = [c for c in changes if start < c < start + length]
        edges = [start, *cuts, start + length]
        pieces += [(a, b - a, stroke) for a, b in pairwise(edges)]
    return pieces


def _play_power(plan: Plan, placed: Placed, part: Part, pattern: str, state: State) -> list[Tone]:
    """Power chords; single sixteenths followed by silence are palm-muted: short and low."""
    tones = []
    for bar, at in enumerate(_bars(plan, placed)):
        for start, length, stroke in _bar_steps(CHORDS[pattern], bar, plan.artist.beats):
            pitches = _power(chord_at(placed.spans, at + start), placed.tonic, part)
            muted = length <= 0.25 and stroke != "X"
            for pitch in pitches[: 2 if muted else 3]:
                tones.append(Tone(at + start, length, pitch, 0.75 if muted else 1.0))
    return tones


def _play_arp(plan: Plan, placed: Placed, part: Part, pattern: str, state: State) -> list[Tone]:
    """Broken chords: each digit of the pattern sounds one voice of the chord."""
    tones = []
    current: Chord | None = None
    voicing: tuple[int, ...] = ()
    for bar, at in enumerate(_bars(plan, placed)):
        for start, length, digit in _bar_steps(ARPS[pattern], bar, plan.artist.beats):
            beat = at + start
            chord = chord_at(placed.spans, beat)
            if chord is not current:
                current, voicing = chord, _voicing(chord, placed.tonic, part, state)
            pitch = voicing[int(digit) % len(voicing)]
            accent = 0.95 if start % 1 == 0 else 0.82
            tones.append(Tone(beat, length + part.ring, pitch, accent))
    return tones


def _theme(plan: Plan, placed: Placed, part: Part, name: str) -> tuple[list[Tone], Singer]:
    """The melody called `name` over this section; a name ending in * is new each time.

    It is sung in the home key, with room left above it for a section that lifts it.
    """
    fresh = name.endswith("*")
    name = name.rstrip("*")
    artist = plan.artist
    top = part.high - max(section.lift for section in artist.sections.values())
    singer = Singer(placed.spans, plan.tonic, artist.melody_scale, part.low, top)
    take = f":{placed.turn}" if fresh else ""
    rng = Random(f"{artist.name}:{plan.seed}:{name}{take}")
    theme = make_theme(
        rng, singer, placed.section.bars, artist.beats, artist.cells[name], artist.leap
    )
    if placed.turn and not fresh:
        theme = vary(Random(f"{artist.name}:{plan.seed}:{name}:{placed.turn}"), theme, singer)
    return theme, singer


def _play_lead(plan: Plan, placed: Placed, part: Part, pattern: str, state: State) -> list[Tone]:
    """A theme or a solo."""
    theme, _ = _theme(plan, placed, part, pattern)
    return [replace(t, pitch=t.pitch + placed.section.lift) for t in theme]


def _play_third(plan: Plan, placed: Placed, part: Part, pattern: str, state: State) -> list[Tone]:
    """A second voice to another part's theme, a third apart; `pattern` names that part."""
    leader = next(p for p in plan.artist.parts if p.name == pattern)
    theme, singer = _theme(plan, placed, leader, placed.playing[pattern])
    lower = third_below(theme, singer)
    return [replace(t, pitch=_into_range(t.pitch + placed.section.lift, part)) for t in lower]


def _into_range(pitch: int, part: Part) -> int:
    """A pitch moved by octaves into a part's range."""
    while pitch < part.low:
        pitch += 12
    while pitch > part.high:
        pitch -= 12
    return pitch


PLAYERS: dict[str, Callable[[Plan, Placed, Part, str, State], list[Tone]]] = {
    "drums": _play_drums,
    "bass": _play_bass,
    "chords": _play_chords,
    "power": _play_power,
    "arp": _play_arp,
    "lead": _play_lead,
    "third": _play_third,
}
