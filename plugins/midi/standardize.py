"""MIDI files as they are found -> the form that pretty_midi reads without losing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mido

ALL_CHANNELS = frozenset(range(16))
#: SMPTE time codes, as files have them: minus the frames per second. -29 is 30 / 1.001.
SMPTE_CODES = (-24, -25, -29, -30)
DROP_FRAME = -29
#: Status bytes and types of meta events (Standard MIDI Files 1.0, "Meta-Events").
META, SYSEX = 0xFF, (0xF0, 0xF7)
TRACK_NAME, END_OF_TRACK, SET_TEMPO, SEQUENCER_SPECIFIC = 0x03, 0x2F, 0x51, 0x7F
KEPT_META_EVENTS = (TRACK_NAME, END_OF_TRACK, SET_TEMPO)
#: Fewer ticks per beat would move notes audibly.
MIN_TICKS_PER_BEAT = 48


def read_midi(data: bytes) -> mido.MidiFile:
    """A MIDI file in beats, also if it is wrapped in RIFF or counts SMPTE frames.

    Raises ValueError or whatever mido raises for a file that can't be read.
    """
    import mido

    data = hide_unused_events(strip_wrapping(data))
    file = mido.MidiFile(file=BytesIO(data), clip=True)
    return _smpte_to_beats(file) if file.ticks_per_beat < 0 else file


def _smpte_to_beats(file: mido.MidiFile) -> mido.MidiFile:
    """A file that counts SMPTE frames, with beats of one second; such files ignore the tempo."""
    import mido

    # the high byte is minus the frames per second, the low byte the ticks per frame
    smpte, ticks_per_frame = divmod(file.ticks_per_beat, 256)
    if smpte not in SMPTE_CODES:
        raise ValueError(f"it counts {-smpte} frames a second, which no time code does")
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


def hide_unused_events(data: bytes) -> bytes:
    """A MIDI file whose meta events are sequencer-specific ones, but for names, ends of tracks and
    tempos: those with too little data, which nobody needs, would not be read."""
    hidden = bytearray(data)
    for start, end in _track_spans(data):
        with suppress(IndexError, ValueError):  # what is broken otherwise is reported by mido
            for place, size in _meta_events(data[start:end]):
                kind = data[start + place]
                if kind not in KEPT_META_EVENTS or (kind == SET_TEMPO and size != 3):
                    hidden[start + place] = SEQUENCER_SPECIFIC
    return bytes(hidden)


def _track_spans(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the events of each track begin and end."""
    start = 0
    for chunk in _known_chunks(data):
        if chunk[:4] == b"MTrk":
            yield start + 8, start + len(chunk)
        start += len(chunk)


def _meta_events(track: bytes) -> Iterator[tuple[int, int]]:
    """The place of the type of each meta event of a track, and the size of its data. Raises
    IndexError or ValueError for a broken track."""
    place, status = 0, 0
    while place < len(track):
        _, place = _read_number(track, place)  # the time
        if track[place] >= 0x80:
            running, status = status, track[place]
            place += 1
        if status in (META, *SYSEX):
            place += status == META
            size, after = _read_number(track, place)
            if status == META:
                yield place - 1, size
                status = running  # meta events leave the running status as it is
            place = after + size
        else:
            place += 1 if status >> 4 in (0xC, 0xD) else 2


def _read_number(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place after it."""
    value = 0
    for end in range(place, place + 4):
        value = value << 7 | data[end] & 0x7F
        if data[end] < 0x80:
            return value, end + 1
    raise ValueError("a number of more than four bytes")


def standardize(file: mido.MidiFile) -> mido.MidiFile:
    """Move messages to where pretty_midi looks for them; the music stays the same.

    Every note gets a release, every program change stands in the tracks that play its channel, and
    changes of tempo, which apply to all tracks, stand in the first one. Raises ValueError for a
    file that is too long.
    """
    file.tracks[:] = [_release_notes(track) for track in file.tracks if track]
    return _limit_ticks(_move_tempo_changes(_move_program_changes(file)))


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


def _move_tempo_changes(file: mido.MidiFile) -> mido.MidiFile:
    import mido

    first, *others = file.tracks
    moved = [_filter(track, lambda m: m.type == "set_tempo") for track in others]
    kept = [_filter(track, lambda m: m.type != "set_tempo") for track in others]
    file.tracks[:] = [mido.merge_tracks([first, *moved]), *kept]
    return file


def _limit_ticks(file: mido.MidiFile) -> mido.MidiFile:
    """A file with fewer ticks per beat if it has more ticks than pretty_midi takes, as those with
    fine clocks have after a few minutes."""
    from pretty_midi.pretty_midi import MAX_TICK

    last = max(sum(message.time for message in track) for track in file.tracks)
    if last < MAX_TICK:
        return file
    old, new = file.ticks_per_beat, int(file.ticks_per_beat * (MAX_TICK - 1) // last)
    if new < MIN_TICKS_PER_BEAT:
        raise ValueError(f"it lasts {last // old:,} beats")
    file.ticks_per_beat = new
    for track in file.tracks:
        ticks = 0
        for message in track:
            ticks, before = ticks + message.time, ticks
            message.time = ticks * new // old - before * new // old
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
