"""A MIDI file -> its instruments and notes in seconds, as plain JSON.

    [{"program": 33, "drum": false, "name": "bass", "notes": [[start, end, pitch, velocity], ...]}]

Tempo and time signature may change at will, in any track. A sustain pedal is heard: a note lasts
until it is released and the pedal is up.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.api import InputError, unknown_name

from .standardize import read_midi, standardize

if TYPE_CHECKING:
    import pretty_midi

Instrument = dict[str, Any]
#: Which instruments to keep: programs 0 to 127, and "drums". None: all.
Selection = frozenset[int | str] | None

PEDAL = 64
DRUMS = "drums"


def load_instruments(
    said: object, folder: Path, chosen: Selection, semitones: int
) -> list[Instrument]:
    """The instruments of a MIDI file that are chosen; InputError when it can't be read."""
    if not isinstance(said, str):
        raise InputError(f"can't read midi {said!r}", "name a MIDI file")
    path = folder / said
    parsed = _parse(path)
    found = [_instrument(each, semitones) for each in parsed.instruments if each.notes]
    if not found:
        raise InputError(f"{path} has no notes", "choose another MIDI file")
    kept = [each for each in found if chosen is None or _key(each) in chosen]
    if not kept:
        there = ", ".join(str(key) for key in sorted({_key(each) for each in found}, key=str))
        raise InputError(f"{path} has no such instruments", f"its programs are {there}")
    return kept


def _key(instrument: Instrument) -> int | str:
    return DRUMS if instrument["drum"] else int(instrument["program"])


def parse_programs(said: object) -> Selection:
    """`0-7, bass, drums` as programs; InputError for what is none."""
    if said is None:
        return None
    families = _families()
    chosen: set[int | str] = set()
    for word in re.split(r"[,\s]+(?=[\w])", str(said).strip().strip(",").casefold()):
        if match := re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", word):
            first, last = int(match[1]), int(match[2] or match[1])
            if first > last or last > 127:
                raise InputError(f"no MIDI programs {word}", "they go from 0 to 127")
            chosen |= set(range(first, last + 1))
        elif word in families:
            chosen |= families[word]
        else:
            raise unknown_name("MIDI program", word, list(families))
    return frozenset(chosen)


def _families() -> dict[str, set[int | str]]:
    """General MIDI's sixteen families of eight programs, and the drums."""
    from pretty_midi.constants import INSTRUMENT_CLASSES

    names = [name.strip().casefold().replace(" ", "-") for name in INSTRUMENT_CLASSES]
    families: dict[str, set[int | str]] = {
        name: set(range(8 * i, 8 * i + 8)) for i, name in enumerate(names)
    }
    return {**families, DRUMS: {DRUMS}}


def parse_semitones(said: object) -> int:
    try:
        by = int(str(said or 0))
    except ValueError:
        by = 128
    if abs(by) > 127:
        raise InputError(f"can't transpose by '{said}'", "write semitones, such as -12 or 5")
    return by


def _parse(path: Path) -> pretty_midi.PrettyMIDI:
    import pretty_midi

    if not path.is_file():
        raise InputError(f"no file {path}", "check the path")
    try:
        file = read_midi(path.read_bytes())
    except OSError as error:
        if error.errno is not None:
            raise InputError(f"can't read {path}: {error.strerror}", "check the path") from None
        raise _broken(path, error) from None
    except Exception as error:  # the parser says what is wrong with a file in many ways
        raise _broken(path, error) from None
    if file.type == 2:
        hint = "save it as type 0 or 1, which every sequencer can"
        raise InputError(f"{path} is a MIDI file of type 2: several songs in one", hint)
    if not any(file.tracks):
        raise InputError(f"{path} has no notes", "choose another MIDI file")
    try:
        return pretty_midi.PrettyMIDI(mido_object=standardize(file))
    except Exception as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> InputError:
    plain = {
        EOFError: "it ends too early",
        ZeroDivisionError: "it stands still: a tempo or a beat is 0",
    }
    detail = plain.get(type(error)) or str(error).strip().rstrip(".!") or type(error).__name__
    return InputError(
        f"{path} is not a MIDI file, or a broken one: {detail}", "open it in a sequencer, save anew"
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
    """A pitch, moved by octaves into a range of an octave or more."""
    if pitch < lowest:
        return pitch + 12 * -((pitch - lowest) // 12)
    return pitch - 12 * -((highest - pitch) // 12) if pitch > highest else pitch


def _ends_with_pedal(part: pretty_midi.Instrument, notes: list[Any]) -> list[float]:
    """When notes end that a sustain pedal holds: when it is up, or when they are struck again."""
    pedal = sorted((c.time, c.value >= 64) for c in part.control_changes if c.number == PEDAL)
    times = [time for time, _ in pedal]
    last = max([note.end for note in notes] + times)
    ups = [time for time, down in pedal if not down] + [last]
    again: dict[int, float] = {}
    ends = []
    for note in reversed(notes):
        end = note.end
        at = bisect_right(times, end) - 1
        if at >= 0 and pedal[at][1]:
            end = ups[min(bisect_right(ups, end), len(ups) - 1)]
        ends.append(max(note.end, min(end, again.get(note.pitch, end))))
        again[note.pitch] = note.start
    return ends[::-1]
