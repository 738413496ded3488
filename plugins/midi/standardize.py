"""MIDI files as they are found -> as the standard has them, for one reader to read them all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mido

TIMES = ("set_tempo", "time_signature", "key_signature")
#: A key signature, which nobody asks for here, so that none can be wrong.
KEY = re.compile(rb"\xff\x59\x02..", re.DOTALL)
ALL = frozenset(range(16))  # channels
C_MAJOR = b"\xff\x59\x02\x00\x00"


def read_midi(data: bytes) -> mido.MidiFile:
    """The file; whatever mido says of one that it can't read is raised."""
    import mido
    from mido.midifiles.meta import KeySignatureError

    data = tracks_only(data)
    try:
        file = mido.MidiFile(file=BytesIO(data), clip=True)
    except KeySignatureError:
        file = mido.MidiFile(file=BytesIO(KEY.sub(C_MAJOR, data)), clip=True)
    return _in_beats(file) if file.ticks_per_beat < 0 else file


def _in_beats(file: mido.MidiFile) -> mido.MidiFile:
    """A file that counts frames of film, in which a beat is a second and no tempo counts."""
    import mido

    frames, ticks = divmod(file.ticks_per_beat, 256)  # minus frames a second, ticks a frame
    dropping = frames == -29  # which stands for 30 / 1.001 a second
    file.ticks_per_beat = (30 if dropping else -frames) * ticks
    file.tracks[:] = [_only(track, lambda m: m.type != "set_tempo") for track in file.tracks]
    if file.tracks:
        file.tracks[0].insert(
            0, mido.MetaMessage("set_tempo", tempo=1_001_000 if dropping else 1_000_000)
        )
    return file


def tracks_only(data: bytes) -> bytes:
    """Without what wraps a MIDI file in RIFF, and without chunks of kinds that are not its own,
    which a reader is to skip (Standard MIDI Files 1.0, "Chunks")."""
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        data = data[max(0, data.find(b"MThd")) :]
    return b"".join(_chunks(data)) if data[:4] == b"MThd" else data


def _chunks(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
        if data[at : at + 4] in (b"MThd", b"MTrk"):
            yield data[at:end]
        at = end


def standardize(file: mido.MidiFile) -> mido.MidiFile:
    """The same with every note released, every program in the tracks that play with it, and all
    changes of tempo and signature in the first track, where they are looked for."""
    file.tracks[:] = [_released(track) for track in file.tracks if track]
    return _times_first(_programs_where_played(file))


def _released(track: mido.MidiTrack) -> mido.MidiTrack:
    """A track that ends with the notes that it has left on, if any."""
    import mido

    on: set[tuple[int, int]] = set()
    for message in track:
        if message.type == "note_on" and message.velocity:
            on.add((message.channel, message.note))
        elif message.type in ("note_on", "note_off"):
            on.discard((message.channel, message.note))
    messages = list(track)
    last = messages.pop() if messages[-1].type == "end_of_track" else None
    wait = last.time if last else 0
    for channel, note in sorted(on):
        messages.append(mido.Message("note_off", channel=channel, note=note, time=wait))
        wait = 0
    return mido.MidiTrack([*messages, *([last.copy(time=wait)] if last else [])])


def _programs_where_played(file: mido.MidiFile) -> mido.MidiFile:
    """Each change of program in the tracks that play its channel, if its own does not."""
    import mido

    plays = [{m.channel for m in track if m.type == "note_on"} for track in file.tracks]
    astray = [_programs(track, ALL - mine) for track, mine in zip(file.tracks, plays, strict=True)]
    for number, mine in enumerate(plays):
        told = [found for track in astray if any(map(_is_program, found := _programs(track, mine)))]
        if told:
            # after what ends at the same time: a note's program is looked up when it ends
            file.tracks[number] = mido.merge_tracks([file.tracks[number], *told])
    return file


def _programs(track: mido.MidiTrack, channels: AbstractSet[int]) -> mido.MidiTrack:
    """The changes of program on some channels, and the end of the track."""
    return _only(track, lambda m: _is_program(m) and m.channel in channels)


def _is_program(message: Any) -> bool:
    return bool(message.type == "program_change")


def _times_first(file: mido.MidiFile) -> mido.MidiFile:
    import mido

    first, *others = file.tracks
    moved = [_only(track, lambda m: m.type in TIMES) for track in others]
    kept = [_only(track, lambda m: m.type not in TIMES) for track in others]
    file.tracks[:] = [mido.merge_tracks([first, *moved]), *kept]
    return file


def _only(track: mido.MidiTrack, keep: Callable[[Any], bool]) -> mido.MidiTrack:
    """The messages of a track that are to be kept, at the times they had."""
    import mido

    kept, waited = mido.MidiTrack(), 0
    for message in track:
        waited += message.time
        if keep(message) or message.type == "end_of_track":
            kept.append(message.copy(time=waited))
            waited = 0
    return kept
