"""Composing: an artist and a seed -> a whole song, the same one every time."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pretty_midi

from melody import Tone
from patterns import CRASH
from players import PLAYERS, State, final_chord
from song_plan import Plan, plan_song
from styles import ARTISTS, Artist, Part

LEAD_IN = 0.03


def compose(artist: str | Artist, seed: int) -> pretty_midi.PrettyMIDI:
    """The whole song as MIDI."""
    return perform(plan_song(ARTISTS[artist] if isinstance(artist, str) else artist, seed))


def perform(plan: Plan) -> pretty_midi.PrettyMIDI:
    """A planned song as MIDI."""
    midi = pretty_midi.PrettyMIDI(initial_tempo=plan.bpm)
    for part in plan.artist.parts:
        midi.instruments.append(_perform(plan, part))
    return midi


def _perform(plan: Plan, part: Part) -> pretty_midi.Instrument:
    """One part's instrument: its notes in seconds and its level (the volume is cubed)."""
    is_drum = part.role == "drums"
    program = plan.artist.kit if is_drum else part.program
    instrument = pretty_midi.Instrument(program, is_drum, part.name)
    volume = round(100 * 10 ** (part.gain_db / 60))
    instrument.control_changes.append(pretty_midi.ControlChange(7, min(127, volume), 0.0))
    rng = Random(f"{plan.artist.name}:{plan.seed}:{part.name}:feel")
    notes = []
    for tone in _play_part(plan, part):
        start = seconds_at(plan, tone.start) + rng.gauss(0, plan.artist.loose)
        end = seconds_at(plan, tone.start + tone.length * part.touch)
        velocity = round(max(1, min(127, 92 * tone.accent + rng.gauss(0, 3))))
        start = max(0.0, start)
        notes.append(pretty_midi.Note(velocity, tone.pitch, start, max(end, start + 0.05)))
    instrument.notes = _without_overlaps(notes)
    return instrument


def seconds_at(plan: Plan, beat: float) -> float:
    """A beat's time, swung: the off-beat eighth moves towards the next beat."""
    whole, part = divmod(beat, 1.0)
    swing = plan.artist.swing
    moved = part * 2 * swing if part <= 0.5 else swing + (part - 0.5) * 2 * (1 - swing)
    return (whole + moved) * 60 / plan.bpm + LEAD_IN


def _without_overlaps(notes: list[pretty_midi.Note]) -> list[pretty_midi.Note]:
    """End each note before the same pitch starts again, so that no release cuts the new one."""
    notes = sorted(notes, key=lambda n: (n.start, n.pitch))
    following: dict[int, float] = {}
    kept = []
    for note in reversed(notes):
        note.end = min(note.end, following.get(note.pitch, note.end) - 0.005)
        if note.end - note.start > 0.02:
            kept.append(note)
            following[note.pitch] = note.start
    return kept[::-1]


def _play_part(plan: Plan, part: Part) -> list[Tone]:
    """Everything a part plays, in beats from the start of the song."""
    tones: list[Tone] = []
    state = State()
    for i, placed in enumerate(plan.placed):
        pattern = placed.playing.get(part.name)
        if pattern is None:
            continue
        swell = 0.72 + 0.33 * placed.section.energy + 0.02 * placed.turn
        for tone in PLAYERS[part.role](plan, placed, part, pattern, state):
            shape = 1.0 if part.role == "drums" else _phrase_shape(plan, tone.start)
            accent = tone.accent * swell * shape
            tones.append(replace(tone, start=tone.start + placed.start, accent=accent))
        if i == len(plan.placed) - 1:
            tones += final_chord(plan, part, state)
        elif part.role == "drums" and plan.artist.crash:
            tones.append(Tone(plan.placed[i + 1].start, 1, CRASH, 0.75))
    return tones


def _phrase_shape(plan: Plan, beat: float) -> float:
    """A gentle swell and fall over every four bars."""
    length = 4 * plan.artist.beats
    return 0.93 + 0.1 * math.sin(math.pi * (beat % length) / length)
