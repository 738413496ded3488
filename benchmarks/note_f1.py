"""Adherence to a MIDI file: F1 of note onsets.

A transcribed note is right if a note of its pitch begins within 50 ms of it in the file; durations
and drums are ignored. Songs of one style have notes in common, so the F1 against other songs' files
shows what a song has by chance.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from evaluators import import_evaluator
from measurements import Row, median_row, paired_rows
from note_transcription import Note

from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.errors import InputError

TOLERANCE = 0.05  # seconds

#: Notes that begin in the last seconds of a recording are ignored, since they are cut off.
MARGIN = 0.2

#: MIDI pitches that basic-pitch transcribes: those of a piano.
PIANO = range(21, 109)


def midi_notes(song: Song, seconds: float) -> list[Note]:
    """The pitched notes that begin in the first `seconds` of a song's MIDI file.

    Notes of one pitch that several instruments begin together count once, since a transcription
    can't tell them apart.
    """
    notes = sorted(
        Note(start, pitch)
        for instrument in song["midi"]
        if not instrument["drum"]
        for start, _, pitch, _ in instrument["notes"]
    )
    last: dict[int, float] = {}
    kept = []
    for note in notes_within(notes, seconds):
        if note.onset - last.get(note.pitch, -1.0) > TOLERANCE:
            kept.append(note)
            last[note.pitch] = note.onset
    return kept


def notes_within(notes: Sequence[Note], seconds: float) -> list[Note]:
    """The notes of a piano's range that begin in the first `seconds`."""
    return [Note(*n) for n in notes if n[0] < seconds - MARGIN and n[1] in PIANO]


def onset_f1(reference: Sequence[Note], estimate: Sequence[Note]) -> float:
    """Twice the matched notes over the notes of both; 0 if either is empty."""
    if not reference or not estimate:
        return 0.0
    score = import_evaluator("mir_eval.transcription").precision_recall_f1_overlap
    arrays = (*_intervals_and_pitches(reference), *_intervals_and_pitches(estimate))
    f1 = score(*arrays, onset_tolerance=TOLERANCE, pitch_tolerance=50.0, offset_ratio=None)[2]
    return float(f1)


def _intervals_and_pitches(notes: Sequence[Note]) -> tuple[np.ndarray, np.ndarray]:
    """Intervals in seconds (N, 2), all equally long, and pitches in Hz (N,)."""
    onsets = np.array([note.onset for note in notes])
    pitches = np.array([note.pitch for note in notes], dtype=float)
    return np.stack([onsets, onsets + 0.1], axis=1), 440 * 2 ** ((pitches - 69) / 12)


def note_f1_rows(
    files: Sequence[Sequence[Note]], transcripts: Mapping[str, Sequence[Sequence[Note]]]
) -> list[Row]:
    """For each version of the songs: F1 against their own files, F1 against those of the others,
    and a comparison of the two.

    `files` are the notes of each song's MIDI file, `transcripts` the transcribed notes of each
    song, by version. Raises InputError for fewer than two songs.
    """
    if len(files) < 2:
        raise InputError("one song has no others to compare it with", "name two songs or more")
    rows = []
    for version, songs in transcripts.items():
        own, others = own_and_other_scores(files, songs)
        rows.append(median_row(f"{version}: F1, own MIDI", "F1", own))
        rows.append(median_row(f"{version}: F1, other songs' MIDI", "F1", others))
        rows += paired_rows(f"{version}: F1, own MIDI minus other songs'", "F1", own, others)
    return rows


def own_and_other_scores(
    files: Sequence[Sequence[Note]], songs: Sequence[Sequence[Note]]
) -> tuple[list[float], list[float]]:
    """The F1 of each song against its own file, and its mean F1 against those of all others."""
    scores: list[list[Any]] = [[onset_f1(file, song) for file in files] for song in songs]
    own = [row[i] for i, row in enumerate(scores)]
    others = [
        statistics.mean(score for j, score in enumerate(row) if j != i)
        for i, row in enumerate(scores)
    ]
    return own, others
