"""Instruments and notes are read from a MIDI file, and written to one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import mido
import pytest
from jukebox_plugins.midi.conditioner import Midi
from jukebox_plugins.midi.notes import (
    are_instruments,
    fold_octave,
    instrument_name,
    parse_programs,
    parse_semitones,
    write_midi,
)

from jukebox_cli.interfaces.errors import InputError
from support.midi_files import TICKS_PER_BEAT, note, read_file, read_notes, tempo, write_file
from support.results import refusal


@pytest.mark.parametrize("kind", [0, 1])
def test_notes_of_files_of_type_0_and_1(tmp_path: Path, kind: int) -> None:
    messages = [tempo(60), *note(60, 0, TICKS_PER_BEAT), *note(64, TICKS_PER_BEAT, 240)]
    path = write_file(tmp_path / "a.mid", messages, kind=kind)
    assert read_file(path) == [
        {"program": 0, "drum": False, "name": "", "notes": [[0, 1, 60, 100], [2, 2.5, 64, 100]]}
    ]


def test_a_sustain_pedal_prolongs_notes(tmp_path: Path) -> None:
    def pedal(value: int, wait: int = 0) -> mido.Message:
        return mido.Message("control_change", control=64, value=value, time=wait)

    track = [
        *(tempo(60), pedal(127), *note(60, 0, 240), *note(64, 0, 240)),  # held until 2
        *(*note(60, 0, 240), pedal(0, 240), *note(67, 0, 240)),
    ]
    assert read_notes(write_file(tmp_path / "a.mid", track)) == [
        [0, 1, 60, 100],  # played again
        [0.5, 2, 64, 100],
        [1, 2, 60, 100],
        [2, 2.5, 67, 100],
    ]


@pytest.mark.parametrize(
    ("programs", "pitches"),
    [
        (None, [60, 36, 72, 38]),
        ("0", [60]),
        ("0-40", [60, 36]),
        ("bass, drums", [36, 38]),
        ("ensemble", [72]),
        ("Piano 33", [60, 36]),
        (53, [72]),
    ],
)
def test_instruments_can_be_selected(band: Path, programs: object, pitches: list[int]) -> None:
    inputs = {} if programs is None else {"midi_program": programs}
    assert [n[2] for n in read_notes(band, **inputs)] == pitches


def test_programs_are_selected_by_number_and_by_family() -> None:
    assert parse_programs(None) is None
    assert parse_programs("0-2,40 drums") == {0, 1, 2, 40, "drums"}
    assert parse_programs("synth-lead,") == set(range(80, 88))


def test_notes_are_transposed_but_drums_are_not(band: Path) -> None:
    assert [n[2] for n in read_notes(band, midi_transpose=-5)] == [55, 31, 67, 38]
    assert [n[2] for n in read_notes(band, midi_transpose="100")] == [124, 124, 124, 38]
    assert [parse_semitones(text) for text in (None, "", "-12", 5)] == [0, 0, -12, 5]


@pytest.mark.parametrize(
    ("pitch", "expected"),
    [(60, 60), (20, 32), (8, 32), (109, 97), (127, 103), (21, 21), (108, 108)],
)
def test_pitches_are_moved_by_octaves_into_a_range(pitch: int, expected: int) -> None:
    assert fold_octave(pitch, 21, 108) == expected


# errors


def read_error(folder: Path, name: str) -> tuple[str, str | None]:
    return refusal(Midi().read, {"midi": name}, folder)


def make_invalid_files(folder: Path, band: Path) -> dict[str, str]:
    """Files that are not valid, and why."""
    (folder / "text.mid").write_text("not music")
    (folder / "empty.mid").write_bytes(b"")
    (folder / "cut.mid").write_bytes(band.read_bytes()[:-30])
    no_tempo = mido.MetaMessage("set_tempo", tempo=0)
    write_file(folder / "tempo.mid", [no_tempo, *note(60, 0, TICKS_PER_BEAT)])
    path = write_file(folder / "division.mid", note(60, 0, TICKS_PER_BEAT))
    data = bytearray(path.read_bytes())
    data[12:14] = b"\0\0"
    path.write_bytes(data)
    return {
        "text.mid": "MThd not found. Probably not a MIDI file",
        "empty.mid": "it ends too early",
        "cut.mid": "it ends too early",
        "division.mid": "a tempo or a time division is 0",
        "tempo.mid": "a tempo or a time division is 0",
    }


def test_an_invalid_file_is_an_error(tmp_path: Path, band: Path) -> None:
    for name, reason in make_invalid_files(tmp_path, band).items():
        assert read_error(tmp_path, name) == (
            f"{tmp_path / name} is not a valid MIDI file: {reason}",
            "open it in a sequencer and save it again",
        )


def test_a_file_of_several_songs_is_an_error(tmp_path: Path) -> None:
    write_file(tmp_path / "two.mid", note(60, 0, TICKS_PER_BEAT), kind=2)
    assert read_error(tmp_path, "two.mid") == (
        f"{tmp_path / 'two.mid'} is a MIDI file of type 2: several songs in one",
        "save it as type 0 or 1, which every sequencer can",
    )


def test_a_file_without_notes_is_an_error(tmp_path: Path) -> None:
    write_file(tmp_path / "silent.mid", [tempo(90)])
    write_file(tmp_path / "bare.mid")
    for name in ("silent.mid", "bare.mid"):
        error = (f"{tmp_path / name} has no notes", "choose another MIDI file")
        assert read_error(tmp_path, name) == error


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    assert read_error(tmp_path, "none.mid") == (
        f"no file {tmp_path / 'none.mid'}",
        "check the path",
    )


@pytest.mark.parametrize("name", ["", "  "])
def test_no_name_is_an_error(name: str, tmp_path: Path) -> None:
    assert read_error(tmp_path, name) == (f"can't read midi {name!r}", "name a MIDI file")


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "dir.mid").mkdir()
    error = f"{tmp_path / 'dir.mid'} is a folder, not a MIDI file"
    assert read_error(tmp_path, "dir.mid") == (error, "name a file in it")


@pytest.mark.parametrize("where", range(14, 120, 3))
def test_a_damaged_byte_is_an_input_error_at_most(tmp_path: Path, band: Path, where: int) -> None:
    damaged = bytearray(band.read_bytes())
    damaged[where % len(damaged)] ^= 0xFF
    (tmp_path / "damaged.mid").write_bytes(damaged)
    with suppress(InputError):
        assert read_file(tmp_path / "damaged.mid")


# writing


def test_a_written_file_is_read_as_the_same_notes(tmp_path: Path, band: Path) -> None:
    instruments = read_file(band, midi_transpose=3)
    instruments[0]["notes"] = [[0.3141, 1.0001, 60, 1], [0.3142, 100.5, 61, 127]]
    (tmp_path / "again.mid").write_bytes(write_midi(instruments))
    assert read_file(tmp_path / "again.mid") == instruments


@pytest.mark.parametrize(
    "instrument",
    [{"program": 0}, {"program": 0, "drum": False, "name": "", "notes": [[0, 1, 200, 64]]}],
)
def test_notes_outside_the_range_of_midi_are_an_error(instrument: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        write_midi([instrument])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], True),
        ([{"notes": []}], True),
        ([{"notes": [[0.0, 1, 60, 90]]}], True),
        ([{"notes": [[0.0, 1, 60]]}], False),
        ([{"notes": [[0.0, 1, 60, True]]}], False),
        ([{"program": 0}], False),
        ({"notes": []}, False),
        (None, False),
    ],
)
def test_instruments_are_known_by_their_notes(value: object, expected: bool) -> None:
    assert are_instruments(value) is expected


@pytest.mark.parametrize(
    ("instrument", "name"),
    [
        ({"program": 33, "drum": False}, "electric bass (finger)"),
        ({"program": 33, "drum": True}, "drums"),
        ({"program": 128}, "an instrument"),
        ({}, "an instrument"),
    ],
)
def test_instruments_have_names(instrument: dict[str, Any], name: str) -> None:
    assert instrument_name(instrument) == name
