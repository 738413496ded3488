"""The midi conditioner: options, values as options, and the influence of notes on logits."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pretty_midi
import pytest
import yaml
from jukebox_plugins.midi.conditioner import Midi

from jukebox_cli.interfaces.command_options import CommandOptions, read_options
from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.request import build_request
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.midi_files import TICKS_PER_BEAT, note, write_file
from support.results import Result, refusal
from support.tiny_model import LEARNED, TINY, make_tiny

Jukebox = Callable[..., Result]

# reading


def test_notes_after_the_end_of_the_song_are_warned_of(tmp_path: Path) -> None:
    song = Midi().read({"midi": write_file(tmp_path / "a.mid", note(60, 9600, 480)).name}, tmp_path)
    shape = PriorShape(8, 16, 128, 8000)
    with pytest.warns(InputWarning) as caught:
        Midi().encode(song, Window(0, 16 * 128, 8000), shape)
    assert [str(w.message) for w in caught] == [
        "midi: the first note is at 10.0 s, and the song ends at 1.0 s"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Midi().encode(song, Window(0, 16 * 128, 88000), shape)
        Midi().encode({}, Window(0, 16 * 128, 8000), shape)


@pytest.mark.parametrize(
    ("inputs", "message", "hint"),
    [
        ({"midi": 3}, "can't read midi 3", "name a MIDI file"),
        (
            {"midi_program": "piano"},
            "--midi-program needs a MIDI file",
            "name one with --midi",
        ),
        ({"midi_transpose": 3}, "--midi-transpose needs a MIDI file", "name one with --midi"),
        ({"midi_program": "pianoo"}, "no MIDI program 'pianoo'", "did you mean 'piano'?"),
        ({"midi_program": "128"}, "no MIDI programs 128", "they go from 0 to 127"),
        ({"midi_program": "9-3"}, "no MIDI programs 9-3", "they go from 0 to 127"),
        (
            {"midi_transpose": "up"},
            "can't transpose by 'up'",
            "write semitones, such as -12 or 5",
        ),
        (
            {"midi_transpose": 200},
            "can't transpose by '200'",
            "write semitones, such as -12 or 5",
        ),
    ],
)
def test_invalid_options_are_errors(
    inputs: dict[str, Any], message: str, hint: str, tmp_path: Path
) -> None:
    assert refusal(Midi().read, inputs, tmp_path) == (message, hint)


def test_instruments_that_a_file_lacks_are_an_error(tmp_path: Path, band: Path) -> None:
    assert refusal(Midi().read, {"midi": "band.mid", "midi_program": "organ"}, tmp_path) == (
        f"{band} has no such instruments",
        "its programs are 0, 33, 53, drums",
    )


def test_a_range_of_less_than_an_octave_is_an_error(registry: Registry) -> None:
    message, _ = refusal(registry.make_conditioner, "midi", {"min_pitch": 60, "max_pitch": 70})
    assert message == (
        "conditioner 'midi': min_pitch to max_pitch must be an octave or more, within 0 to 127"
    )


# descriptions and options

NOTES = [[0.0, 0.5, 60, 90], [0.5, 12.25, 64, 90]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            [
                {"program": 0, "drum": False, "name": "", "notes": NOTES},
                {"program": 33, "drum": True, "name": "", "notes": NOTES[:1]},
                {"program": 52, "drum": False, "name": "", "notes": NOTES},
            ],
            "5 notes for acoustic grand piano, drums, choir aahs; 12.2 s",
        ),
        ({"file": "x"}, "file: x"),
        ([{"program": 0}], "1 value"),
        ([], "none"),
    ],
)
def test_notes_are_described_by_their_instruments(value: Any, text: str) -> None:
    assert Midi().describe({"midi": value, "artist": "Ada Vale"}) == {"midi": text}


def test_a_song_without_notes_has_no_description_and_no_options() -> None:
    assert Midi().describe({"artist": "Ada Vale"}) == {}
    assert Midi().to_options({"artist": "Ada Vale"}) == CommandOptions()


def write_duo(path: Path) -> None:
    """Two pianos, one of them with a pedal, and drums; its ticks differ from those written."""
    midi = pretty_midi.PrettyMIDI(resolution=97, initial_tempo=133.7)
    for program, drum, name in ((0, False, "left"), (0, False, "r\u00efght"), (0, True, "kit")):
        part = pretty_midi.Instrument(program, drum, name)
        part.notes = [
            pretty_midi.Note(60 + n, 35 + n % 3, 0.31 * n, 0.31 * n + 0.3) for n in range(9)
        ]
        midi.instruments.append(part)
    midi.instruments[0].control_changes = [pretty_midi.ControlChange(64, 100, 0.5)]
    midi.write(str(path))


@pytest.mark.parametrize("inputs", [{}, {"midi_transpose": 3}, {"midi_program": "drums"}])
def test_values_are_written_as_a_file(inputs: dict[str, Any], tmp_path: Path) -> None:
    write_duo(tmp_path / "duo.mid")
    values = Midi().read({"midi": "duo.mid", **inputs}, tmp_path)
    options = Midi().to_options(json.loads(json.dumps(values)))
    assert options.options == (("--midi", "song.mid"),)
    assert [name for name, _ in options.files] == ["song.mid"]
    assert options.notes == ()
    assert read_options(Midi(), options) == values


@pytest.mark.parametrize(
    "instrument",
    [
        {"program": 0},
        {"program": 0, "drum": False, "name": "", "notes": [[0, 1, 200, 64]]},
        {"program": 0, "drum": False, "name": "", "notes": []},
    ],
)
def test_notes_that_no_file_expresses_are_noted(instrument: dict[str, Any]) -> None:
    assert Midi().to_options({"midi": [instrument]}) == CommandOptions(
        (("--midi", "song.mid"),),
        notes=(
            "What --midi song.mid was read from; the run keeps what was read, but not the file.",
        ),
    )


# with presets and models


def test_a_preset_and_options_are_combined(
    tmp_path: Path, band: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    preset = tmp_path / "band.yaml"
    preset.write_text("format: 2\nsong: {midi: band.mid, midi_program: bass}\n")

    def pitches(**conditions: Any) -> list[int]:
        request = build_request(
            registry, str(preset), [], conditions=conditions, sampler_options={}
        )
        return [n[2] for part in request.song["midi"] for n in part["notes"]]

    assert pitches() == [36]
    assert pitches(midi_transpose=2) == [38]
    assert pitches(midi_program="piano") == [60]
    drum = note(30, 0, TICKS_PER_BEAT, channel=9)
    write_file(elsewhere / "other.mid", [*note(50, 0, TICKS_PER_BEAT), *drum])
    assert pitches(midi="other.mid", midi_program="0,drums") == [50, 30]
    preset.write_text("format: 2\nsong: {midi_transpose: 5}\n")
    assert pitches(midi="other.mid", midi_program="0") == [55]


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A model with notes at the top and at an upsampler, with random weights."""
    recipe = yaml.safe_load(TINY)
    for level in (0, 2):
        recipe["priors"][level]["conditioners"] = {"midi": {"width": 16, "depth": 1}}
    learned = {**LEARNED, "midi": {"width": 16, "depth": 1}}
    folder = tmp_path_factory.mktemp("models")
    return make_tiny(folder / "player", registry, yaml.safe_dump(recipe), learned).path


@pytest.mark.slow
def test_notes_change_the_top_level_and_upsamplers(
    player: Path, band: Path, here: Path, jukebox: Jukebox
) -> None:
    def generate(out: str, *options: object) -> list[bytes]:
        command = ("generate", "--model", player, "--seconds", 0.3, "--out", out, "-q")
        done = jukebox(*command, "--until", "tokens", *options)
        assert done.code == 0, done.err
        run = Run(here / out)
        tokens = [run.read_tokens(level, 0) for level in (2, 0)]
        return [each.tobytes() for each in tokens if each is not None]

    without, with_notes = generate("a"), generate("b", "--midi", band)
    again = generate("c", "--midi", band)
    drums_only = generate("d", "--midi", band, "--midi-program", "drums")
    assert with_notes == again
    assert len({without[0], with_notes[0], drums_only[0]}) == 3
    assert without[1] != with_notes[1]


def test_a_run_keeps_its_notes_without_the_file(
    player: Path, band: Path, here: Path, jukebox: Jukebox
) -> None:
    common = ("--seconds", 0.2, "--until", "top", "-q")
    assert jukebox("generate", "--model", player, "--out", "a", "--midi", band, *common).code == 0
    band.unlink()
    extended = jukebox("continue", "a", *common)
    assert extended.code == 0, extended.err
    assert len(Run(here / "a").item(0).conditions["midi"]) == 4


def test_a_model_without_notes_refuses_them(
    tiny: Model, band: Path, here: Path, jukebox: Jukebox
) -> None:
    done = jukebox("generate", "--model", tiny.path, "--midi", band, "--out", "a")
    assert done.code == 2
    assert done.err == (
        "error: model 'tiny' has no use for --midi\n\nhint: it takes artist, genre, timing\n"
    )
    assert not (here / "a").exists()
