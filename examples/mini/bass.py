"""How a bass plays a section of a song."""

from __future__ import annotations

from random import Random

from melody import PreviousNotes, Tone, chord_at
from patterns import BASS
from song_plan import PlacedSection, SongPlan, pattern_strokes
from styles import Part
from theory import Chord, chord_scale, nearest, pitches_in, place


def root_pitch(chord: Chord, tonic: int, part: Part, previous: PreviousNotes) -> int:
    """The bass pitch of a chord, between the last pitch and the middle of the range."""
    centre = (part.low * 2 + part.high) // 3
    near = centre if previous.pitch is None else (previous.pitch + centre) // 2
    previous.pitch = place(chord.bass_class(tonic), part.low, part.high, near)
    return previous.pitch


def play_bass(
    plan: SongPlan, placed: PlacedSection, part: Part, pattern: str, previous: PreviousNotes
) -> list[Tone]:
    """A bass line: walking, one note per chord, or a pattern of chord tones."""
    if pattern == "walk":
        return _walk(plan, placed, part, previous)
    if pattern == "dotted":
        roots = ((at, n, root_pitch(c, placed.tonic, part, previous)) for at, n, c in placed.spans)
        return [Tone(at, n, pitch, 0.95) for at, n, pitch in roots]
    tones = []
    last_chord, root = None, 0
    for beat, length, step, chord in pattern_strokes(plan, placed, BASS[pattern]):
        if chord is not last_chord:
            last_chord, root = chord, root_pitch(chord, placed.tonic, part, previous)
        pitch = _bass_pitch(step, root, chord, placed, part, beat)
        in_bar = beat % plan.artist.beats_per_bar
        tones.append(Tone(beat, length, pitch, 1.05 if in_bar % 2 == 0 else 0.95))
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
        root = root_pitch(chord, placed.tonic, part, previous)
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
