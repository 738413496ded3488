"""midi: which notes are read from files of all kinds, and what a prior is told of them."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest
import torch
from conftest import refusal
from jukebox_plugins.midi import Midi
from jukebox_plugins.midi.reading import folded, selection
from jukebox_plugins.midi.roll import rows

from jukebox_cli.plugin import InputError, Shape, Window

BEAT = 480
#: A frame is a hundredth of a second.
SHAPE = Shape(width=12, frames=100, hop=80, sample_rate=8000)
ON, OFF = "note_on", "note_off"


def write(path: Path, *tracks: list[mido.Message | mido.MetaMessage], kind: int = 1) -> Path:
    file = mido.MidiFile(type=kind, ticks_per_beat=BEAT)
    file.tracks.extend(mido.MidiTrack(track) for track in tracks)
    file.save(str(path))
    return path


def note(pitch: int, wait: int, length: int, channel: int = 0, loud: int = 100) -> list[Any]:
    on = mido.Message(ON, note=pitch, velocity=loud, time=wait, channel=channel)
    return [on, mido.Message(OFF, note=pitch, time=length, channel=channel)]


def tempo(bpm: float, wait: int = 0) -> mido.MetaMessage:
    return mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(bpm), time=wait)


def read(path: Path, **more: Any) -> list[dict[str, Any]]:
    values = Midi().read({"midi": path.name, **more}, path.parent)
    assert json.loads(json.dumps(values)) == values
    return values["midi"]


def notes(path: Path, **more: Any) -> list[list[float]]:
    return [note for instrument in read(path, **more) for note in instrument["notes"]]


# what is read


@pytest.mark.parametrize("kind", [0, 1])
def test_notes_of_files_of_type_0_and_1(tmp_path: Path, kind: int) -> None:
    path = write(
        tmp_path / "a.mid", [tempo(60), *note(60, 0, BEAT), *note(64, BEAT, 240)], kind=kind
    )
    assert read(path) == [
        {"program": 0, "drum": False, "name": "", "notes": [[0, 1, 60, 100], [2, 2.5, 64, 100]]}
    ]


def test_tempo_may_change_in_any_track(tmp_path: Path) -> None:
    four = [*note(60, 0, BEAT), *note(60, 0, BEAT), *note(60, 0, BEAT), *note(60, 0, BEAT)]
    change = [tempo(60), tempo(120, 2 * BEAT)]
    meter = mido.MetaMessage("time_signature", numerator=3, denominator=4, time=BEAT)
    for name, tracks in {
        "first": [[*change, meter], four],
        "later": [[], four, change],
        "same": [[tempo(60), *four[:4], tempo(120), *four[4:]]],
    }.items():
        starts = [n[0] for n in notes(write(tmp_path / f"{name}.mid", *tracks))]
        assert starts == [0, 1, 2, 2.5], name


def test_a_sustain_pedal_is_heard(tmp_path: Path) -> None:
    def pedal(value: int, wait: int = 0) -> mido.Message:
        return mido.Message("control_change", control=64, value=value, time=wait)

    track = [
        *(tempo(60), pedal(127), *note(60, 0, 240), *note(64, 0, 240)),  # held until 2
        *(*note(60, 0, 240), pedal(0, 240), *note(67, 0, 240)),
    ]
    assert notes(write(tmp_path / "a.mid", track)) == [
        [0, 1, 60, 100],  # struck again
        [0.5, 2, 64, 100],
        [1, 2, 60, 100],
        [2, 2.5, 67, 100],
    ]


@pytest.fixture
def band(tmp_path: Path) -> Path:
    """A piano, a bass, a voice and drums."""
    midi = pretty_midi.PrettyMIDI()
    for program, drum, pitch in ((0, False, 60), (33, False, 36), (53, False, 72), (0, True, 38)):
        part = pretty_midi.Instrument(program, drum)
        part.notes.append(pretty_midi.Note(127, pitch, 0.1, 0.3))
        midi.instruments.append(part)
    midi.write(str(tmp_path / "band.mid"))
    return tmp_path / "band.mid"


@pytest.mark.parametrize(
    ("said", "pitches"),
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
def test_a_choice_of_instruments(band: Path, said: object, pitches: list[int]) -> None:
    more = {} if said is None else {"midi_program": said}
    assert [n[2] for n in notes(band, **more)] == pitches


def test_notes_are_transposed_but_drums_are_not(band: Path) -> None:
    assert [n[2] for n in notes(band, midi_transpose=-5)] == [55, 31, 67, 38]
    assert [n[2] for n in notes(band, midi_transpose="100")] == [124, 124, 124, 38]


@pytest.mark.parametrize(
    ("pitch", "wanted"), [(60, 60), (20, 32), (8, 32), (109, 97), (127, 103), (21, 21), (108, 108)]
)
def test_pitches_are_moved_by_octaves_into_a_range(pitch: int, wanted: int) -> None:
    assert folded(pitch, 21, 108) == wanted


# what can't be


def test_what_is_no_midi_file_is_told(tmp_path: Path, band: Path) -> None:
    def told(name: str) -> tuple[str, str | None]:
        return refusal(Midi().read, {"midi": name}, tmp_path)

    broken = "open it in a sequencer, save anew"
    (tmp_path / "text.mid").write_text("not music")
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "cut.mid").write_bytes(band.read_bytes()[:-30])
    write(tmp_path / "two.mid", note(60, 0, BEAT), kind=2)
    write(tmp_path / "silent.mid", [tempo(90)])
    write(tmp_path / "bare.mid")
    film = bytearray(write(tmp_path / "film.mid", note(60, 0, BEAT)).read_bytes())
    film[12:14] = b"\xe7\x28"  # 25 frames a second
    (tmp_path / "film.mid").write_bytes(film)
    for name, what in {
        "text.mid": "MThd not found. Probably not a MIDI file",
        "empty.mid": "EOFError",
        "cut.mid": "EOFError",
    }.items():
        whole = f"{tmp_path / name} is not a MIDI file, or a broken one: {what}"
        assert told(name) == (whole, broken)
    assert told("two.mid") == (
        f"{tmp_path / 'two.mid'} is a MIDI file of type 2: several songs in one",
        "save it as type 0 or 1, which every sequencer can",
    )
    for name in ("silent.mid", "bare.mid"):
        assert told(name) == (f"{tmp_path / name} has no notes", "choose another MIDI file")
    assert told("film.mid") == (
        f"{tmp_path / 'film.mid'} counts time in frames of film, not in beats",
        "save it with ticks per quarter note",
    )
    assert told("none.mid") == (f"no file {tmp_path / 'none.mid'}", "check the path")


@pytest.mark.parametrize("where", range(14, 120, 3))
def test_a_damaged_byte_is_an_error_that_is_told_or_none(
    tmp_path: Path, band: Path, where: int
) -> None:
    spoiled = bytearray(band.read_bytes())
    spoiled[where % len(spoiled)] ^= 0xFF
    (tmp_path / "spoiled.mid").write_bytes(spoiled)
    with suppress(InputError):
        assert read(tmp_path / "spoiled.mid")


def test_flags_that_say_nothing_are_told(tmp_path: Path, band: Path) -> None:
    def told(**given: Any) -> tuple[str, str | None]:
        return refusal(Midi().read, given, tmp_path)

    name = "band.mid"
    assert told(midi=3) == ("can't read midi 3", "name a MIDI file")
    assert told(midi_program="piano") == (
        "--midi-program needs a MIDI file",
        "name one with --midi",
    )
    assert told(midi_transpose=3) == (
        "--midi-transpose needs a MIDI file",
        "name one with --midi",
    )
    assert told(midi=name, midi_program="pianoo") == (
        "no MIDI program 'pianoo'",
        "did you mean 'piano'?",
    )
    for said in ("128", "9-3"):
        assert told(midi=name, midi_program=said) == (
            f"no MIDI programs {said}",
            "they go from 0 to 127",
        )
    assert told(midi=name, midi_program="organ") == (
        f"{band} has no such instruments",
        "its programs are 0, 33, 53, drums",
    )
    for by in ("up", 200):
        assert told(midi=name, midi_transpose=by) == (
            f"can't transpose by '{by}'",
            "write semitones, such as -12 or 5",
        )


def test_programs_are_chosen_by_number_and_by_family() -> None:
    assert selection(None) is None
    assert selection("0-2,40 drums") == {0, 1, 2, 40, "drums"}
    assert selection("synth-lead,") == set(range(80, 88))


def test_a_range_of_less_than_an_octave_is_refused(registry: Any) -> None:
    message, _ = refusal(registry.conditioner, "midi", {"lowest": 60, "highest": 70})
    assert (
        message == "conditioner 'midi': lowest .. highest must be an octave or more, from 0 to 127"
    )


# what a prior is told


def roll(instruments: Any, start: int = 0, **knobs: Any) -> np.ndarray:
    song = {} if instruments is None else {"midi": instruments}
    window = Window(start, SHAPE.frames * SHAPE.hop, 80_000)
    array: np.ndarray = Midi(**knobs).encode(song, window, SHAPE)["roll"]
    return array


def test_the_roll_has_a_column_for_every_token(band: Path) -> None:
    made = roll(read(band), decay=0.05)
    assert made.shape == (rows(Midi()), 100)
    pitches, voice = 88, 2 * 88
    piano, sung, drum = 60 - 21, voice + 72 - 21, 4 * 88 + 38 - 35
    for begins in (piano, sung, drum):
        assert not made[begins, :10].any()
        assert made[begins, 10] == 1
        assert made[begins, 15] == pytest.approx(np.exp(-1))
    for lasts in (piano + pitches, sung + pitches):
        assert made[lasts].nonzero()[0].tolist() == list(range(10, 30))
    assert (made[-1] == 1).all()
    told = {piano, piano + 88, sung, sung + 88, drum, 36 - 21, 36 - 21 + 88, rows(Midi()) - 1}
    assert set(made.any(axis=1).nonzero()[0]) == told


def test_a_window_is_told_what_stands_in_it(band: Path) -> None:
    whole, later = roll(read(band)), roll(read(band), start=15 * 80)
    assert np.array_equal(whole[:, 15:], later[:, :85])
    assert not roll(read(band), start=9000)[:-1].any()


def test_without_notes_it_is_told_nothing() -> None:
    assert not roll(None).any()
    assert roll([]).any()  # silence was asked for


def test_the_network_gives_a_vector_for_every_token(band: Path) -> None:
    torch.manual_seed(0)
    network = Midi(width=16, depth=2).module(SHAPE).eval()
    told = torch.from_numpy(np.stack([roll(read(band)), roll(None)]))
    frames = network(told).frames
    assert frames.shape == (2, 100, 12)
    assert not torch.allclose(frames[0], frames[1])
    far = torch.allclose(frames[0, 60:90], frames[0, 59:89], atol=1e-6)
    assert far  # long after the last note one frame is like the next
