"""MIDI files of all kinds are brought into a form that pretty_midi reads."""

from __future__ import annotations

from pathlib import Path

import mido
import pytest

from support.midi_files import TICKS_PER_BEAT, note, read_file, read_notes, tempo, write_file
from support.results import refusal


def test_tempo_may_change_in_any_track(tmp_path: Path) -> None:
    four = note(60, 0, TICKS_PER_BEAT) * 4
    changes = [tempo(60), tempo(120, 2 * TICKS_PER_BEAT)]
    meter = mido.MetaMessage("time_signature", numerator=3, denominator=4, time=TICKS_PER_BEAT)
    for name, tracks in {
        "first": [[*changes, meter], four],
        "later": [[], four, changes],
        "same": [[tempo(60), *four[:4], tempo(120), *four[4:]]],
    }.items():
        starts = [n[0] for n in read_notes(write_file(tmp_path / f"{name}.mid", *tracks))]
        assert starts == [0, 1, 2, 2.5], name


def test_an_invalid_key_signature_is_ignored(tmp_path: Path) -> None:
    key = mido.MetaMessage("key_signature", key="D")
    path = write_file(tmp_path / "key.mid", [key, *note(60, 0, TICKS_PER_BEAT)])
    path.write_bytes(path.read_bytes().replace(b"\xff\x59\x02\x02\x00", b"\xff\x59\x02\x09\x00"))
    assert [n[2] for n in read_notes(path)] == [60]


@pytest.mark.parametrize("running_status", [False, True])
@pytest.mark.parametrize("kind", [0x00, 0x20, 0x51, 0x54, 0x58, 0x59, 0x7E])
def test_a_malformed_event_that_nobody_needs_is_ignored(
    kind: int, running_status: bool, tmp_path: Path
) -> None:
    path = write_file(tmp_path / "a.mid", [*note(60, 0, 480), *note(64, 480, 480)])
    start, end = b"\x00\x90\x3c\x64", b"\x00\xff\x2f\x00"
    data = path.read_bytes()
    broken = bytes([0, 0xFF, kind, 1, 7])  # too little data
    later = bytes([0, 0x91, 60, 100, 0, 0xFF, kind, 1, 7, 0x83, 0x60, 60, 0])  # running status
    extra = later if running_status else b""
    track = (broken + data[22:]).replace(end, extra + end)
    assert start in track
    path.write_bytes(data[:18] + len(track).to_bytes(4, "big") + track)
    notes = read_notes(path)
    assert notes[:2] == [[0, 0.5, 60, 100], [1, 1.5, 64, 100]]
    assert len(notes) == (3 if running_status else 2)


@pytest.mark.parametrize("ticks_per_beat", [19200, 32767])
def test_a_fine_clock_is_no_limit(ticks_per_beat: int, tmp_path: Path) -> None:
    messages = [m for n in range(600) for m in note(60 + n % 2, 0, ticks_per_beat)]
    path = write_file(tmp_path / "a.mid", messages)
    data = bytearray(path.read_bytes())
    data[12:14] = ticks_per_beat.to_bytes(2, "big")
    path.write_bytes(data)
    notes = read_notes(path)
    assert [n[2] for n in notes] == [60 + n % 2 for n in range(600)]
    for number, (start, end, *_) in enumerate(notes):
        assert (start, end) == pytest.approx((number / 2, number / 2 + 0.5), abs=2e-4)


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.mid", [*note(60, 0, 480), *note(60, 0x0FFFFFFF, 480)])
    assert refusal(read_notes, path)[0] == (
        f"{path} is not a valid MIDI file: it lasts 559,242 beats"
    )


def test_a_time_code_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.mid", note(60, 0, 480))
    data = bytearray(path.read_bytes())
    data[12:14] = b"\xd8\x90"
    path.write_bytes(data)
    reason = "it counts 40 frames a second, which no time code does"
    assert refusal(read_notes, path)[0] == f"{path} is not a valid MIDI file: {reason}"


def test_riff_headers_and_unknown_chunks_are_skipped(tmp_path: Path) -> None:
    path = write_file(tmp_path / "wrapped.mid", note(60, 0, TICKS_PER_BEAT))
    midi, unknown = path.read_bytes(), b"XFIH" + (4).to_bytes(4, "big") + b"abcd"
    path.write_bytes(midi[:14] + unknown + midi[14:] + unknown)
    assert [n[2] for n in read_notes(path)] == [60]
    size = (len(midi) + 12).to_bytes(4, "little")
    path.write_bytes(b"RIFF" + size + b"RMIDdata\0\0\0\0" + midi)
    assert [n[2] for n in read_notes(path)] == [60]


@pytest.mark.parametrize(
    ("division", "ticks_per_second"), [(b"\xe7\x28", 1000), (b"\xe3\x50", 80 * 30 / 1.001)]
)
def test_files_may_count_smpte_frames(
    tmp_path: Path, division: bytes, ticks_per_second: float
) -> None:
    messages = [*note(60, 0, TICKS_PER_BEAT), tempo(30), *note(62, 0, TICKS_PER_BEAT)]
    path = write_file(tmp_path / "smpte.mid", messages)
    data = bytearray(path.read_bytes())
    data[12:14] = division  # 25 frames per second of 40 ticks; 29.97 of 80
    path.write_bytes(data)
    ends = [n[1] for n in read_notes(path)]
    assert ends == [pytest.approx(n * TICKS_PER_BEAT / ticks_per_second, abs=1e-4) for n in (1, 2)]


def test_a_note_without_release_ends_with_its_track(tmp_path: Path) -> None:
    on = mido.Message("note_on", note=60, velocity=90)
    end = mido.MetaMessage("end_of_track", time=TICKS_PER_BEAT)
    path = write_file(tmp_path / "held.mid", [tempo(60), on, *note(64, 0, TICKS_PER_BEAT), end])
    assert [n[:3] for n in read_notes(path)] == [[0.0, 2.0, 60], [0.0, 1.0, 64]]


def test_a_program_change_may_be_in_another_track_than_its_notes(tmp_path: Path) -> None:
    bass = mido.Message("program_change", program=33, channel=2)
    organ = mido.Message("program_change", program=19, channel=2, time=TICKS_PER_BEAT)
    two_notes = note(40, 0, TICKS_PER_BEAT, channel=2) * 2
    path = write_file(tmp_path / "conductor.mid", [bass, organ], two_notes)
    assert [(i["program"], len(i["notes"])) for i in read_file(path)] == [(33, 1), (19, 1)]
    clavinet = mido.Message("program_change", program=7, channel=2)
    own = [clavinet, *note(40, 0, TICKS_PER_BEAT, channel=2)]
    path = write_file(tmp_path / "own.mid", [bass, *note(50, 0, TICKS_PER_BEAT, channel=2)], own)
    assert [i["program"] for i in read_file(path)] == [33, 7]
