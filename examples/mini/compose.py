"""Composes an instrumental song from an artist and a seed."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pretty_midi

from artists import ARTISTS
from melody import PreviousNotes, Tone
from patterns import CRASH
from players import PLAYERS, final_chord
from song_plan import SongPlan, plan_song
from styles import Artist, Part

LEAD_IN = 0.03  # seconds before the first beat


def compose(artist: str | Artist, seed: int) -> pretty_midi.PrettyMIDI:
    """The song as MIDI; the same for the same seed."""
    return perform(plan_song(ARTISTS[artist] if isinstance(artist, str) else artist, seed))


def perform(plan: SongPlan) -> pretty_midi.PrettyMIDI:
    """The notes of a planned song as MIDI."""
    midi = pretty_midi.PrettyMIDI(initial_tempo=plan.bpm)
    for part in plan.artist.parts:
        midi.instruments.append(_perform_part(plan, part))
    return midi


def _perform_part(plan: SongPlan, part: Part) -> pretty_midi.Instrument:
    """A part as a MIDI instrument, with notes in seconds."""
    is_drum = part.role == "drums"
    program = plan.artist.drum_kit if is_drum else part.program
    instrument = pretty_midi.Instrument(program, is_drum, part.name)
    # the synthesiser's gain is the third power of the volume
    volume = round(100 * 10 ** (part.gain_db / 60))
    instrument.control_changes.append(pretty_midi.ControlChange(7, min(127, volume), 0.0))
    rng = Random(f"{plan.artist.name}:{plan.seed}:{part.name}:feel")
    notes = []
    for tone in _play_part(plan, part):
        start = beat_seconds(plan, tone.start) + rng.gauss(0, plan.artist.timing_jitter)
        end = beat_seconds(plan, tone.start + tone.length * part.articulation)
        velocity = round(max(1, min(127, 92 * tone.accent + rng.gauss(0, 3))))
        start = max(0.0, start)
        notes.append(pretty_midi.Note(velocity, tone.pitch, start, max(end, start + 0.05)))
    instrument.notes = _without_overlaps(notes)
    return instrument


def beat_seconds(plan: SongPlan, beat: float) -> float:
    """The time of a beat; swing moves off-beat eighths towards the next beat."""
    whole, fraction = divmod(beat, 1.0)
    swing = plan.artist.swing
    late = fraction > 0.5  # in the second half of the beat
    swung = swing + (fraction - 0.5) * 2 * (1 - swing) if late else fraction * 2 * swing
    return (whole + swung) * 60 / plan.bpm + LEAD_IN


def _without_overlaps(notes: list[pretty_midi.Note]) -> list[pretty_midi.Note]:
    """The notes, each shortened to end before its pitch starts again, since a release would end
    the new note too. Notes that would become too short are left out."""
    notes = sorted(notes, key=lambda n: (n.start, n.pitch))
    following: dict[int, float] = {}
    kept = []
    for note in reversed(notes):
        note.end = min(note.end, following.get(note.pitch, note.end) - 0.005)
        if note.end - note.start > 0.02:
            kept.append(note)
            following[note.pitch] = note.start
    return kept[::-1]


def _play_part(plan: SongPlan, part: Part) -> list[Tone]:
    """The notes of a part, in beats from the beginning of the song."""
    tones: list[Tone] = []
    previous = PreviousNotes()
    for i, placed in enumerate(plan.sections):
        pattern = placed.patterns.get(part.name)
        if pattern is None:
            continue
        loudness = 0.72 + 0.33 * placed.section.energy + 0.02 * placed.repetition
        for tone in PLAYERS[part.role](plan, placed, part, pattern, previous):
            shape = 1.0 if part.role == "drums" else _phrase_shape(plan, tone.start)
            accent = tone.accent * loudness * shape
            tones.append(replace(tone, start=tone.start + placed.start, accent=accent))
        if i == len(plan.sections) - 1:
            tones += final_chord(plan, part, previous)
        elif part.role == "drums" and plan.artist.crash_cymbal:
            tones.append(Tone(plan.sections[i + 1].start, 1, CRASH, 0.75))
    return tones


def _phrase_shape(plan: SongPlan, beat: float) -> float:
    """The loudness within a phrase of four bars, which rises and falls by 10 %."""
    length = 4 * plan.artist.beats_per_bar
    return 0.93 + 0.1 * math.sin(math.pi * (beat % length) / length)
