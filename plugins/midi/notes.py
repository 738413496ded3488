"""A MIDI file <-> its instruments and notes in seconds, as plain JSON.

    [{"program": 33, "drum": false, "name": "bass", "notes": [[start, end, pitch, velocity], ...]}]

Programs and pitches are numbered from 0 to 127. A note ends when its key is released and the
sustain pedal is up.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.api import InputError, pluralize, unknown_name

from .standardize import read_midi, standardize

if TYPE_CHECKING:
    import pretty_midi

Instrument = dict[str, Any]
#: Which instruments to keep: programs, and "drums". None: all.
Selection = frozenset[int | str] | None

SUSTAIN_PEDAL = 64  # control change number
DRUMS = "drums"
#: Of files that are written: a tick is 0.1 ms, the precision of stored times.
TICKS_PER_BEAT, BEATS_PER_MINUTE = 5000, 120.0


def load_instruments(
    midi: object, folder: Path, selection: Selection, semitones: int
) -> list[Instrument]:
    """The selected instruments of a MIDI file, transposed by `semitones`.

    midi: the file's path, relative to `folder`.
    Raises InputError for what is not a MIDI file and for a file without the notes.
    """
    if not isinstance(midi, str) or not midi.strip():
        raise InputError(f"can't read midi {midi!r}", "name a MIDI file")
    path = folder / midi
    parsed = _parse(path)
    instruments = [_instrument(part, semitones) for part in parsed.instruments if part.notes]
    if not instruments:
        raise InputError(f"{path} has no notes", "choose another MIDI file")
    selected = [each for each in instruments if selection is None or _key(each) in selection]
    if not selected:
        programs = ", ".join(str(key) for key in sorted({_key(i) for i in instruments}, key=str))
        raise InputError(f"{path} has no such instruments", f"its programs are {programs}")
    return selected


def _key(instrument: Instrument) -> int | str:
    """What a selection calls an instrument."""
    return DRUMS if instrument["drum"] else int(instrument["program"])


def parse_programs(text: object) -> Selection:
    """`0-7, bass, drums` as a selection. Raises InputError for unknown names and numbers."""
    if text is None:
        return None
    families = _families()
    programs: set[int | str] = set()
    for word in re.split(r"[,\s]+(?=[\w])", str(text).strip().strip(",").casefold()):
        if match := re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", word):
            first, last = int(match[1]), int(match[2] or match[1])
            if first > last or last > 127:
                raise InputError(f"no MIDI programs {word}", "they go from 0 to 127")
            programs |= set(range(first, last + 1))
        elif word in families:
            programs |= families[word]
        else:
            raise unknown_name("MIDI program", word, list(families))
    return frozenset(programs)


def _families() -> dict[str, set[int | str]]:
    """General MIDI's sixteen families of eight programs, and the drums."""
    from pretty_midi.constants import INSTRUMENT_CLASSES

    names = [name.strip().casefold().replace(" ", "-") for name in INSTRUMENT_CLASSES]
    families: dict[str, set[int | str]] = {
        name: set(range(8 * i, 8 * i + 8)) for i, name in enumerate(names)
    }
    return {**families, DRUMS: {DRUMS}}


def parse_semitones(text: object) -> int:
    """`-12` as a number; nothing is 0. Raises InputError for what is not a number up to 127."""
    try:
        semitones = int(str(text or 0))
    except ValueError:
        semitones = 128
    if abs(semitones) > 127:
        raise InputError(f"can't transpose by '{text}'", "write semitones, such as -12 or 5")
    return semitones


def _parse(path: Path) -> pretty_midi.PrettyMIDI:
    import pretty_midi

    if path.is_dir():
        raise InputError(f"{path} is a folder, not a MIDI file", "name a file in it")
    if not path.is_file():
        raise InputError(f"no file {path}", "check the path")
    try:
        file = read_midi(path.read_bytes())
    except OSError as error:
        if error.errno is not None:
            raise InputError(f"can't read {path}: {error.strerror}", "check the path") from None
        raise _invalid_file(path, error) from None
    except Exception as error:  # mido raises many types for invalid files
        raise _invalid_file(path, error) from None
    if file.type == 2:
        hint = "save it as type 0 or 1, which every sequencer can"
        raise InputError(f"{path} is a MIDI file of type 2: several songs in one", hint)
    if not any(file.tracks):
        raise InputError(f"{path} has no notes", "choose another MIDI file")
    try:
        return pretty_midi.PrettyMIDI(mido_object=standardize(file))
    except Exception as error:
        raise _invalid_file(path, error) from None


def _invalid_file(path: Path, error: Exception) -> InputError:
    reasons = {
        EOFError: "it ends too early",
        IndexError: "an event has too little data",
        KeyError: "an event has a value that does not exist",
        ZeroDivisionError: "a tempo or a time division is 0",
    }
    reason = reasons.get(type(error)) or str(error).strip().rstrip(".!") or "it can't be read"
    return InputError(
        f"{path} is not a valid MIDI file: {reason}", "open it in a sequencer and save it again"
    )


def _instrument(part: pretty_midi.Instrument, semitones: int) -> Instrument:
    notes = sorted(part.notes, key=lambda note: (note.start, note.pitch))
    ends = [n.end for n in notes] if part.is_drum else _ends_with_pedal(part, notes)
    by = 0 if part.is_drum else semitones
    rows = [
        [
            round(float(n.start), 4),
            round(float(end), 4),
            fold_octave(n.pitch + by, 0, 127),
            n.velocity,
        ]
        for n, end in zip(notes, ends, strict=True)
    ]
    return {
        "program": int(part.program),
        "drum": bool(part.is_drum),
        "name": part.name,
        "notes": rows,
    }


def fold_octave(pitch: int, lowest: int, highest: int) -> int:
    """A pitch moved by octaves into a range of at least an octave."""
    if pitch < lowest:
        return pitch + 12 * -((pitch - lowest) // 12)
    return pitch - 12 * -((highest - pitch) // 12) if pitch > highest else pitch


def _ends_with_pedal(part: pretty_midi.Instrument, notes: list[Any]) -> list[float]:
    """Ends of notes, sustained until the pedal is up or the same pitch is played again."""
    pedal = sorted(
        (c.time, c.value >= 64) for c in part.control_changes if c.number == SUSTAIN_PEDAL
    )
    times = [time for time, _ in pedal]
    last = max([note.end for note in notes] + times)
    releases = [time for time, down in pedal if not down] + [last]
    next_onset: dict[int, float] = {}  # by pitch, going back in time
    ends = []
    for note in reversed(notes):
        end = note.end
        change = bisect_right(times, end) - 1
        if change >= 0 and pedal[change][1]:
            end = releases[min(bisect_right(releases, end), len(releases) - 1)]
        ends.append(max(note.end, min(end, next_onset.get(note.pitch, end))))
        next_onset[note.pitch] = note.start
    return ends[::-1]


def write_midi(instruments: Sequence[Instrument]) -> bytes:
    """A MIDI file of instruments and notes.

    Raises KeyError, TypeError or ValueError for what MIDI can't hold, such as a pitch of 200.
    """
    import pretty_midi

    midi = pretty_midi.PrettyMIDI(resolution=TICKS_PER_BEAT, initial_tempo=BEATS_PER_MINUTE)
    for each in instruments:
        part = pretty_midi.Instrument(each["program"], each["drum"], each["name"])
        part.notes = [
            pretty_midi.Note(velocity, pitch, start, end)
            for start, end, pitch, velocity in each["notes"]
        ]
        midi.instruments.append(part)
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


def are_instruments(value: object) -> bool:
    """Whether a JSON value is a list of instruments with notes."""
    return isinstance(value, list) and all(map(_is_instrument, value))


def _is_instrument(value: object) -> bool:
    notes = value.get("notes") if isinstance(value, dict) else None
    return isinstance(notes, list) and all(map(_is_note, notes))


def _is_note(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)


def summarize_instruments(instruments: Sequence[Instrument]) -> str:
    """`5 notes for acoustic grand piano, drums; 12.2 s`."""
    notes = [note for instrument in instruments for note in instrument["notes"]]
    names = dict.fromkeys(map(instrument_name, instruments))
    end = max((note[1] for note in notes), default=0.0)
    return f"{pluralize(len(notes), 'note')} for {', '.join(names)}; {end:.1f} s"


def instrument_name(instrument: Instrument) -> str:
    """`drums`, or the General MIDI name of the program in lower case."""
    from pretty_midi import program_to_instrument_name

    if instrument.get("drum"):
        return DRUMS
    program = instrument.get("program")
    if not isinstance(program, int) or not 0 <= program < 128:
        return "an instrument"
    return str(program_to_instrument_name(program)).lower()
