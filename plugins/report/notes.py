"""The notes of an item as the midi conditioner keeps them: what plays them, a MIDI file of them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

#: Ticks of a file: ten thousand a second, which is how finely times are kept.
PER_BEAT, BEATS_A_MINUTE = 5000, 120.0


def instruments(value: Any) -> list[Mapping[str, Any]]:
    """The instruments with their notes, each [start, end, pitch, velocity] in seconds, if that is
    what a value is; else nothing."""
    rows = value if isinstance(value, list) else []
    whole = all(isinstance(row, dict) and isinstance(row.get("notes"), list) for row in rows)
    notes = [note for row in rows for note in row["notes"]] if whole else []
    timed = all(isinstance(n, list) and len(n) == 4 and all(map(_is_number, n)) for n in notes)
    return rows if whole and timed else []


def name(instrument: Mapping[str, Any]) -> str:
    """What plays, in words."""
    from pretty_midi import program_to_instrument_name

    if instrument.get("drum"):
        return "drums"
    program = instrument.get("program")
    known = isinstance(program, int) and 0 <= program < 128
    named = program_to_instrument_name(program).lower() if known else "an instrument"
    return str(named)


def midi_file(rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """A MIDI file that is read as these instruments; None for what makes no file."""
    import pretty_midi

    whole = pretty_midi.PrettyMIDI(resolution=PER_BEAT, initial_tempo=BEATS_A_MINUTE)
    try:
        for row in rows:
            part = pretty_midi.Instrument(row["program"], row["drum"], row["name"])
            part.notes = [
                pretty_midi.Note(velocity, pitch, start, end)
                for start, end, pitch, velocity in row["notes"]
            ]
            whole.instruments.append(part)
        file = io.BytesIO()
        whole.write(file)
    except (KeyError, TypeError, ValueError):  # of no MIDI: a pitch of 200, a name that is none
        return None
    return file.getvalue()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
