"""MIDI files as they are found -> the form that pretty_midi reads without losing anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mido

#: Meta messages that apply to all tracks; pretty_midi looks for them in the first one only.
GLOBAL_MESSAGES = ("set_tempo", "time_signature", "key_signature")
#: Key signatures as they are in a file. They don't matter here, so an invalid one is replaced.
KEY_SIGNATURE = re.compile(rb"\xff\x59\x02..", re.DOTALL)
C_MAJOR = b"\xff\x59\x02\x00\x00"
ALL_CHANNELS = frozenset(range(16))
#: SMPTE time code of 30 / 1.001 frames per second, as the file has it.
DROP_FRAME = -29


def read_midi(data: bytes) -> mido.MidiFile:
    """A MIDI file in beats, also if it is wrapped in RIFF or counts SMPTE frames.

    Raises whatever mido raises for a file that it can't read.
    """
    import mido
    from mido.midifiles.meta import KeySignatureError

    data = strip_wrapping(data)
    try:
        file = mido.MidiFile(file=BytesIO(data), clip=True)
    except KeySignatureError:
        file = mido.MidiFile(file=BytesIO(KEY_SIGNATURE.sub(C_MAJOR, data)), clip=True)
    return _smpte_to_beats(file) if file.ticks_per_beat < 0 else file


def _smpte_to_beats(file: mido.MidiFile) -> mido.MidiFile:
    """A file that counts SMPTE frames, with beats of one second; such files ignore the tempo."""
    import mido

    # the high byte is minus the frames per second, the low byte the ticks per frame
    smpte, ticks_per_frame = divmod(file.ticks_per_beat, 256)
    drop_frame = smpte == DROP_FRAME
    file.ticks_per_beat = (30 if drop_frame else -smpte) * ticks_per_frame
    file.tracks[:] = [_filter(track, lambda m: m.type != "set_tempo") for track in file.tracks]
    if file.tracks:
        beat = 1_001_000 if drop_frame else 1_000_000  # microseconds
        file.tracks[0].insert(0, mido.MetaMessage("set_tempo", tempo=beat))
    return file


def strip_wrapping(data: bytes) -> bytes:
    """A MIDI file without a RIFF header around it and without chunks of unknown types.

    Readers must skip those (Standard MIDI Files 1.0, "Chunks"), but mido does not.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        data = data[max(0, data.find(b"MThd")) :]
    return b"".join(_known_chunks(data)) if data[:4] == b"MThd" else data


def _known_chunks(data: bytes) -> Iterator[bytes]:
    """Header and track chunks, each with its type and length."""
    start = 0
    while start < len(data):
        end = start + 8 + int.from_bytes(data[start + 4 : start + 8], "big")
        if data[start : start + 4] in (b"MThd", b"MTrk"):
            yield data[start:end]
        start = end


def standardize(file: mido.MidiFile) -> mido.MidiFile:
    """Move messages to where pretty_midi looks for them; the music stays the same.

    Every note gets a release, every program change stands in the tracks that play its channel, and
    changes of tempo and of time and key signature stand in the first track.
    """
    file.tracks[:] = [_release_notes(track) for track in file.tracks if track]
    return _move_global_messages(_move_program_changes(file))


def _release_notes(track: mido.MidiTrack) -> mido.MidiTrack:
    """A track whose last notes are released at its end, if they were not released before."""
    import mido

    held: set[tuple[int, int]] = set()
    for message in track:
        if message.type == "note_on" and message.velocity:
            held.add((message.channel, message.note))
        elif message.type in ("note_on", "note_off"):
            held.discard((message.channel, message.note))
    messages = list(track)
    end = messages.pop() if messages[-1].type == "end_of_track" else None
    wait = end.time if end else 0
    for channel, note in sorted(held):
        messages.append(mido.Message("note_off", channel=channel, note=note, time=wait))
        wait = 0
    return mido.MidiTrack([*messages, *([end.copy(time=wait)] if end else [])])


def _move_program_changes(file: mido.MidiFile) -> mido.MidiFile:
    """Program changes in the tracks that play their channel, if their own track does not."""
    import mido

    channels = [{m.channel for m in track if m.type == "note_on"} for track in file.tracks]
    misplaced = [
        _program_changes(track, ALL_CHANNELS - played)
        for track, played in zip(file.tracks, channels, strict=True)
    ]
    for number, played in enumerate(channels):
        changes = [_program_changes(track, played) for track in misplaced]
        if moved := [track for track in changes if any(map(_is_program_change, track))]:
            # merged last: pretty_midi looks up the program of a note when the note ends, so a
            # change at the same time must come after it
            file.tracks[number] = mido.merge_tracks([file.tracks[number], *moved])
    return file


def _program_changes(track: mido.MidiTrack, channels: AbstractSet[int]) -> mido.MidiTrack:
    """The program changes on some channels, and the end of the track."""
    return _filter(track, lambda m: _is_program_change(m) and m.channel in channels)


def _is_program_change(message: Any) -> bool:
    return bool(message.type == "program_change")


def _move_global_messages(file: mido.MidiFile) -> mido.MidiFile:
    """All changes of tempo and of time and key signature in the first track."""
    import mido

    first, *others = file.tracks
    moved = [_filter(track, lambda m: m.type in GLOBAL_MESSAGES) for track in others]
    kept = [_filter(track, lambda m: m.type not in GLOBAL_MESSAGES) for track in others]
    file.tracks[:] = [mido.merge_tracks([first, *moved]), *kept]
    return file


def _filter(track: mido.MidiTrack, keep: Callable[[Any], bool]) -> mido.MidiTrack:
    """The messages of a track that `keep` accepts, at their times, and the end of the track."""
    import mido

    kept, ticks = mido.MidiTrack(), 0
    for message in track:
        ticks += message.time
        if keep(message) or message.type == "end_of_track":
            kept.append(message.copy(time=ticks))
            ticks = 0
    return kept
