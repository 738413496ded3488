"""MIDI files for tests, and the notes that the midi conditioner reads from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mido
import pretty_midi
from jukebox_plugins.midi.conditioner import Midi

TICKS_PER_BEAT = 480


def write_file(path: Path, *tracks: list[mido.Message | mido.MetaMessage], kind: int = 1) -> Path:
    """A MIDI file of messages; `kind` is 0, 1 or 2."""
    file = mido.MidiFile(type=kind, ticks_per_beat=TICKS_PER_BEAT)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    file.save(str(path))
    return path


def note(pitch: int, wait: int, length: int, channel: int = 0, velocity: int = 100) -> list[Any]:
    """The messages of a note; wait and length in ticks."""
    on = mido.Message("note_on", note=pitch, velocity=velocity, time=wait, channel=channel)
    return [on, mido.Message("note_off", note=pitch, time=length, channel=channel)]


def tempo(bpm: float, wait: int = 0) -> mido.MetaMessage:
    return mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm), time=wait)


def write_band(path: Path) -> Path:
    """A piano, a bass, a voice and drums, with one note each from 0.1 to 0.3 s."""
    midi = pretty_midi.PrettyMIDI()
    for program, drum, pitch in ((0, False, 60), (33, False, 36), (53, False, 72), (0, True, 38)):
        part = pretty_midi.Instrument(program, drum)
        part.notes.append(pretty_midi.Note(127, pitch, 0.1, 0.3))
        midi.instruments.append(part)
    midi.write(str(path))
    return path


def read_file(path: Path, **inputs: Any) -> list[dict[str, Any]]:
    """The instruments that the conditioner reads from a file."""
    values = Midi().read({"midi": path.name, **inputs}, path.parent)
    assert json.loads(json.dumps(values)) == values
    instruments: list[dict[str, Any]] = values["midi"]
    return instruments


def read_notes(path: Path, **inputs: Any) -> list[list[float]]:
    """The notes of all instruments, each [start, end, pitch, velocity]."""
    return [note for instrument in read_file(path, **inputs) for note in instrument["notes"]]
