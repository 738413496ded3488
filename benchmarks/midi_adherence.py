"""Whether the notes that are heard are those of the MIDI file: onset F1.

A note is right if one of its pitch begins within 50 ms of it in the file; how long it lasts is left
out, and so are drums. A song that does not follow its file still has notes in common with it, as
with any other song of its kind: how many, the files of the other songs tell.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from judges import judge
from measure import Row, row
from paired import compared
from transcription import Note

from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.errors import InputError

TOLERANCE = 0.05  # seconds
#: Of the end of a recording: a note cut off there is too short to be heard.
MARGIN = 0.2  # seconds
#: What is listened for: the pitches of a piano.
PIANO = range(21, 109)


def written(song: Song, seconds: float) -> list[Note]:
    """The pitched notes that begin in the first `seconds` of a song's MIDI file.

    What several instruments begin together at one pitch is one note: more can't be told apart.
    """
    notes = sorted(
        Note(start, pitch)
        for instrument in song["midi"]
        if not instrument["drum"]
        for start, _, pitch, _ in instrument["notes"]
    )
    last: dict[int, float] = {}
    kept = []
    for note in heard_within(notes, seconds):
        if note.onset - last.get(note.pitch, -1.0) > TOLERANCE:
            kept.append(note)
            last[note.pitch] = note.onset
    return kept


def heard_within(notes: Sequence[Note], seconds: float) -> list[Note]:
    """Those that begin early enough to be heard, at pitches that a piano has."""
    return [Note(*n) for n in notes if n[0] < seconds - MARGIN and n[1] in PIANO]


def onset_f1(written: Sequence[Note], heard: Sequence[Note]) -> float:
    """Twice the matched notes over the notes of both; 0 when there are none on one side."""
    if not written or not heard:
        return 0.0
    score = judge("mir_eval.transcription").precision_recall_f1_overlap
    (there, pitches), (here, found) = _arrays(written), _arrays(heard)
    settings = {"onset_tolerance": TOLERANCE, "pitch_tolerance": 50.0, "offset_ratio": None}
    return float(score(there, pitches, here, found, **settings)[2])


def _arrays(notes: Sequence[Note]) -> tuple[np.ndarray, np.ndarray]:
    """Intervals in seconds (N, 2), all equally long, and pitches in Hz (N,)."""
    onsets = np.array([n.onset for n in notes])
    pitches = np.array([n.pitch for n in notes], dtype=float)
    return np.stack([onsets, onsets + 0.1], axis=1), 440 * 2 ** ((pitches - 69) / 12)


def adherence(
    files: Sequence[Sequence[Note]], renditions: Mapping[str, Sequence[Sequence[Note]]]
) -> list[Row]:
    """For each rendition of the songs: F1 with their own files, with those of the others, and how
    the two compare.

    files: the notes written for each song. renditions: those heard in each song, by what was heard.
    """
    if len(files) < 2:
        raise InputError("one song has no others to compare it with", "name two songs or more")
    rows = []
    for what, songs in renditions.items():
        own, others = scores(files, songs)
        rows.append(row(f"{what}: F1 with its MIDI", "F1", own))
        rows.append(row(f"{what}: F1 with the MIDI of others", "F1", others))
        rows += compared(f"{what}: F1 with its MIDI over others", "F1", own, others)
    return rows


def scores(
    files: Sequence[Sequence[Note]], songs: Sequence[Sequence[Note]]
) -> tuple[list[float], list[float]]:
    """The F1 of each song with its own file, and its mean with those of all others."""
    table: list[list[Any]] = [[onset_f1(file, heard) for file in files] for heard in songs]
    own = [scored[i] for i, scored in enumerate(table)]
    others = [statistics.mean(s for j, s in enumerate(t) if j != i) for i, t in enumerate(table)]
    return own, others
