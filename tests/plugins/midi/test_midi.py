"""midi: which notes are read from files of all kinds, and what a prior is told of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pretty_midi
import pytest
import torch
import yaml
from jukebox_plugins.midi import Midi
from jukebox_plugins.midi.notes import fold_octave, parse_programs
from jukebox_plugins.midi.piano_roll import num_rows

from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.request import build_request
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.results import refusal
from support.tiny_model import LEARNED, TINY, make_tiny

BEAT = 480
#: A frame is a hundredth of a second.
SHAPE = PriorShape(width=12, context_length=100, hop_length=80, sample_rate=8000)
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
    assert fold_octave(pitch, 21, 108) == wanted


# files as they are found


def test_a_key_that_there_is_not_is_no_obstacle(tmp_path: Path) -> None:
    key = mido.MetaMessage("key_signature", key="D")
    path = write(tmp_path / "key.mid", [key, *note(60, 0, BEAT)])
    path.write_bytes(path.read_bytes().replace(b"\xff\x59\x02\x02\x00", b"\xff\x59\x02\x09\x00"))
    assert [row[2] for row in notes(path)] == [60]


def test_chunks_of_other_kinds_are_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.mid", note(60, 0, BEAT))
    whole, odd = path.read_bytes(), b"XFIH" + (4).to_bytes(4, "big") + b"abcd"
    path.write_bytes(whole[:14] + odd + whole[14:] + odd)
    assert [row[2] for row in notes(path)] == [60]
    path.write_bytes(
        b"RIFF" + (len(whole) + 12).to_bytes(4, "little") + b"RMIDdata\0\0\0\0" + whole
    )
    assert [row[2] for row in notes(path)] == [60]


@pytest.mark.parametrize(
    ("division", "second"), [(b"\xe7\x28", 1000), (b"\xe3\x50", 80 * 30 / 1.001)]
)
def test_files_may_count_frames_of_film(tmp_path: Path, division: bytes, second: float) -> None:
    path = write(tmp_path / "film.mid", [*note(60, 0, BEAT), tempo(30), *note(62, 0, BEAT)])
    film = bytearray(path.read_bytes())
    film[12:14] = division  # 25 a second, of 40 ticks; 29.97, of 80
    path.write_bytes(film)
    ends = [row[1] for row in notes(path)]
    assert ends == [pytest.approx(n * BEAT / second, abs=1e-4) for n in (1, 2)]


def test_a_note_that_is_never_released_ends_with_its_track(tmp_path: Path) -> None:
    on = mido.Message(ON, note=60, velocity=90)
    end = mido.MetaMessage("end_of_track", time=BEAT)
    path = write(tmp_path / "held.mid", [tempo(60), on, *note(64, 0, BEAT), end])
    assert [row[:3] for row in notes(path)] == [[0.0, 2.0, 60], [0.0, 1.0, 64]]


def test_a_program_may_stand_in_another_track_than_its_notes(tmp_path: Path) -> None:
    bass = mido.Message("program_change", program=33, channel=2)
    organ = mido.Message("program_change", program=19, channel=2, time=BEAT)
    path = write(tmp_path / "conductor.mid", [bass, organ], note(40, 0, BEAT, channel=2) * 2)
    assert [(part["program"], len(part["notes"])) for part in read(path)] == [(33, 1), (19, 1)]
    own = [mido.Message("program_change", program=7, channel=2), *note(40, 0, BEAT, channel=2)]
    path = write(tmp_path / "own.mid", [bass, *note(50, 0, BEAT, channel=2)], own)
    assert [part["program"] for part in read(path)] == [33, 7]


# what can't be


def test_what_is_no_midi_file_is_told(tmp_path: Path, band: Path) -> None:
    def told(name: str) -> tuple[str, str | None]:
        return refusal(Midi().read, {"midi": name}, tmp_path)

    broken = "open it in a sequencer, save anew"
    (tmp_path / "text.mid").write_text("not music")
    (tmp_path / "empty.mid").write_bytes(b"")
    (tmp_path / "cut.mid").write_bytes(band.read_bytes()[:-30])
    standing = mido.MetaMessage("set_tempo", tempo=0)
    write(tmp_path / "still.mid", [standing, *note(60, 0, BEAT)])
    write(tmp_path / "two.mid", note(60, 0, BEAT), kind=2)
    write(tmp_path / "silent.mid", [tempo(90)])
    write(tmp_path / "bare.mid")
    timeless = bytearray(write(tmp_path / "timeless.mid", note(60, 0, BEAT)).read_bytes())
    timeless[12:14] = b"\0\0"
    (tmp_path / "timeless.mid").write_bytes(timeless)
    for name, what in {
        "text.mid": "MThd not found. Probably not a MIDI file",
        "empty.mid": "it ends too early",
        "cut.mid": "it ends too early",
        "timeless.mid": "it stands still: a tempo or a beat is 0",
        "still.mid": "it stands still: a tempo or a beat is 0",
    }.items():
        whole = f"{tmp_path / name} is not a MIDI file, or a broken one: {what}"
        assert told(name) == (whole, broken)
    assert told("two.mid") == (
        f"{tmp_path / 'two.mid'} is a MIDI file of type 2: several songs in one",
        "save it as type 0 or 1, which every sequencer can",
    )
    for name in ("silent.mid", "bare.mid"):
        assert told(name) == (f"{tmp_path / name} has no notes", "choose another MIDI file")
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
    assert parse_programs(None) is None
    assert parse_programs("0-2,40 drums") == {0, 1, 2, 40, "drums"}
    assert parse_programs("synth-lead,") == set(range(80, 88))


def test_a_range_of_less_than_an_octave_is_refused(registry: Registry) -> None:
    message, _ = refusal(registry.make_conditioner, "midi", {"lowest": 60, "highest": 70})
    assert (
        message == "conditioner 'midi': lowest .. highest must be an octave or more, from 0 to 127"
    )


# what a prior is told


def roll(instruments: Any, start: int = 0, **knobs: Any) -> np.ndarray:
    song = {} if instruments is None else {"midi": instruments}
    window = Window(start, SHAPE.context_length * SHAPE.hop_length, 80_000)
    array: np.ndarray = Midi(**knobs).encode(song, window, SHAPE)["roll"]
    return array


def test_the_roll_has_a_column_for_every_token(band: Path) -> None:
    made = roll(read(band), onset_decay=0.05)
    assert made.shape == (num_rows(Midi()), 100)
    pitches, voice = 88, 2 * 88
    piano, sung, drum = 60 - 21, voice + 72 - 21, 4 * 88 + 38 - 35
    for begins in (piano, sung, drum):
        assert not made[begins, :10].any()
        assert made[begins, 10] == 1
        assert made[begins, 15] == pytest.approx(np.exp(-1))
    for lasts in (piano + pitches, sung + pitches):
        assert made[lasts].nonzero()[0].tolist() == list(range(10, 30))
    assert (made[-1] == 1).all()
    told = {piano, piano + 88, sung, sung + 88, drum, 36 - 21, 36 - 21 + 88, num_rows(Midi()) - 1}
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


# with presets and flags


def test_a_preset_and_flags_may_each_say_a_part(
    tmp_path: Path, band: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    preset = tmp_path / "band.yaml"
    preset.write_text("format: 1\nsong: {midi: band.mid, midi_program: bass}\n")

    def pitches(**given: Any) -> list[int]:
        want = build_request(registry, str(preset), [], conditions=given, sampler_options={})
        return [n[2] for part in want.song["midi"] for n in part["notes"]]

    assert pitches() == [36]
    assert pitches(midi_transpose=2) == [38]
    assert pitches(midi_program="piano") == [60]
    write(elsewhere / "other.mid", [*note(50, 0, BEAT), *note(30, 0, BEAT, channel=9)])
    assert pitches(midi="other.mid", midi_program="0,drums") == [50, 30]
    preset.write_text("format: 1\nsong: {midi_transpose: 5}\n")
    assert pitches(midi="other.mid", midi_program="0") == [55]


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A model that is told notes at the top and at an upsampler, with random weights."""
    data = yaml.safe_load(TINY)
    for level in (0, 2):
        data["priors"][level]["conditioners"] = {"midi": {"width": 16, "depth": 1}}
    learned = {**LEARNED, "midi": {"width": 16, "depth": 1}}
    folder = tmp_path_factory.mktemp("models")
    return make_tiny(folder / "player", registry, yaml.safe_dump(data), learned).path


def test_notes_steer_the_top_level_and_upsamplers(
    player: Path, band: Path, here: Path, jukebox: Callable[..., Any]
) -> None:
    def make(out: str, *more: object) -> list[bytes]:
        words = ("generate", "--model", player, "--seconds", 0.3, "--out", out, "-q")
        done = jukebox(*words, "--until", "tokens", *more)
        assert done.code == 0, done.err
        run = Run(here / out)
        return [run.read_tokens(level, 0).tokens.tobytes() for level in (2, 0)]

    plain, played, again = make("a"), make("b", "--midi", band), make("c", "--midi", band)
    fewer = make("d", "--midi", band, "--midi-program", "drums")
    assert played == again
    assert len({plain[0], played[0], fewer[0]}) == 3
    assert plain[1] != played[1]


def test_a_run_keeps_its_notes_without_the_file(
    player: Path, band: Path, here: Path, jukebox: Callable[..., Any]
) -> None:
    common = ("--seconds", 0.2, "--until", "top", "-q")
    assert jukebox("generate", "--model", player, "--out", "a", "--midi", band, *common).code == 0
    band.unlink()
    longer = jukebox("continue", "a", *common)
    assert longer.code == 0, longer.err
    assert len(Run(here / "a").item_specs().song["midi"]) == 4


def test_a_model_that_was_not_told_notes_has_no_use_for_them(
    tiny: Model, band: Path, here: Path, jukebox: Callable[..., Any]
) -> None:
    done = jukebox("generate", "--model", tiny.path, "--midi", band, "--out", "a")
    assert done.code == 2
    assert done.err == (
        "error: model 'tiny' has no use for --midi\n\nhint: it takes artist, genre, timing\n"
    )
    assert not (here / "a").exists()
