"""Whatever a person gets wrong: one line, a hint, exit code 2, and nothing on disk is touched."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import save_file
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.config.suggest import unknown_name
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model import devices
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.model import Model, model_names
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from support.results import Result
from support.run_files import all_tokens, contents, write_chord
from support.tiny_model import TINY, make_tiny

Jukebox = Callable[..., Result]
SECONDS = ("--seconds", 0.05)
MAKE = ("generate", "--model", "tiny", *SECONDS, "--out", "out")


class Refused(Protocol):
    def __call__(self, *words: object, error: str, hint: str) -> None: ...


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A working folder: models, a whole run, sounds good and bad."""
    place = tmp_path_factory.mktemp("template")
    (place / "models").mkdir()
    make_tiny(place / "models" / "tiny", registry)
    make_tiny(place / "models" / "other", registry, TINY.replace("bins: 64", "bins: 32"))
    for path in (place / "models").glob("*.yaml"):
        path.unlink()
    words = ["--model", place / "models/tiny", *SECONDS, "--items", 2, "--out", place / "run"]
    result = CliRunner().invoke(build_app(registry), ["generate", *map(str, words)])
    assert result.exit_code == 0, result.stderr

    write_chord(place / "tone.wav", 0.5)
    (place / "text.wav").write_text("hello")
    (place / "empty.wav").touch()
    soundfile.write(place / "none.wav", np.zeros(0), 8000)
    soundfile.write(place / "one.wav", np.zeros(1), 8000)
    soundfile.write(place / "one-44.wav", np.zeros(1), 44100)
    soundfile.write(place / "nan.wav", np.full(4000, np.nan, np.float32), 8000, "FLOAT")
    data = write_chord(place / "cut.flac", 0.5).read_bytes()
    (place / "cut.flac").write_bytes(data[: len(data) // 2])
    (place / "music").mkdir()
    return place


@pytest.fixture
def place(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template, and the working folder."""
    place = Path(shutil.copytree(template, tmp_path / "place"))
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def refused(place: Path, jukebox: Jukebox) -> Refused:
    """Runs a command that must be refused with exactly this, and leave no trace."""

    def run(*words: object, error: str, hint: str) -> None:
        before = contents(place)
        result = jukebox(*words)
        assert result == Result(2, "", f"error: {error}\n\nhint: {hint}\n")
        assert contents(place) == before

    return run


# sound


BAD_SOUNDS = [
    ("nosuch.wav", "no file nosuch.wav", "check the path"),
    ("empty.wav", "empty.wav is empty", "was it copied completely?"),
    (
        "text.wav",
        "text.wav is not audio that can be read",
        "use wav, flac, ogg, opus, mp3, aiff and more",
    ),
    ("none.wav", "none.wav holds no sound", "it has a header but no samples"),
]


@pytest.mark.parametrize(("name", "error", "hint"), BAD_SOUNDS)
@pytest.mark.parametrize("command", ["continue --audio", "tokenize", "train vqvae"])
def test_sound_that_can_not_be_heard(
    command: str, name: str, error: str, hint: str, refused: Refused
) -> None:
    refused(*command.split(), name, "--model", "models/tiny", *out(command), error=error, hint=hint)


def out(command: str) -> tuple[str, ...]:
    return () if command.startswith("train") else ("--out", "out")


def test_a_folder_is_no_sound(refused: Refused) -> None:
    error, hint = "music is a folder, not an audio file", "name the files in it"
    refused(
        "continue", "--audio", "music", "--out", "out", "--model", "tiny", error=error, hint=hint
    )


def test_a_folder_without_sound(refused: Refused) -> None:
    kinds = ".aif, .aifc, .aiff, .au, .caf, .flac, .mp3, .oga, .ogg, .opus, .w64, .wav"
    words = ("tokenize", "music", "--out", "out", "--model", "tiny")
    refused(*words, error="no audio in music", hint=f"looked for {kinds}")


def test_all_bad_sounds_are_told_at_once(place: Path, jukebox: Jukebox) -> None:
    result = jukebox(
        "tokenize", *(name for name, _, _ in BAD_SOUNDS[1:]), "--model", "tiny", "--out", "out"
    )
    assert result.err.splitlines()[:3] == [f"error: {error}" for _, error, _ in BAD_SOUNDS[1:]]


@pytest.mark.parametrize("name", ["one.wav", "one-44.wav"])
def test_sound_that_is_too_short_to_go_on_from(name: str, refused: Refused) -> None:
    words = ("continue", "--audio", name, "--out", "out", "--model", "tiny")
    refused(*words, error=f"{name} is too short: 0.000 s", hint="give at least 0.002 s")


@pytest.mark.parametrize("kind", ["run", "corpus"])
@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("cut.flac", "cut.flac is damaged: flac decoder lost sync", "restore it from a copy"),
        ("one-44.wav", "one-44.wav is too short: nothing is left at 8000 Hz", "use a longer one"),
        ("nan.wav", "nan.wav holds samples that are not numbers", "export it anew"),
    ],
)
def test_sound_that_turns_out_bad_while_it_is_read(
    name: str, error: str, hint: str, kind: str, place: Path, jukebox: Jukebox
) -> None:
    words = ("--model", "tiny", "--as", kind, "--out", "out", "--quiet")
    assert jukebox("tokenize", "tone.wav", name, *words) == Result(
        2, "", f"error: {error}\n\nhint: {hint}\n"
    )
    assert jukebox("tokenize", "tone.wav", *words).code == 0  # what is left is not in the way
    if kind == "run":
        assert {item for _, item in all_tokens(Path("out"))} == {0}
    else:
        assert [entry.name for entry in Corpus(Path("out")).songs()] == ["tone.wav"]


# words and numbers


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            ("--artist", "Ada"),
            "no artist 'Ada' in this model, which knows 3",
            "did you mean 'Ada Vale'?",
        ),
        (
            ("--genre", "polka"),
            "no genre 'polka' in this model, which knows 2",
            "known are: jazz, rock",
        ),
        (("--genre", "jaz"), "no genre 'jaz' in this model, which knows 2", "did you mean 'jazz'?"),
        (("--genre", ",".join(["rock"] * 6)), "6 genres are more than 5", "name fewer"),
        (
            ("--temperature", 0),
            "sampler 'temperature': must be 0.001 or more (for the likeliest token use --greedy)",
            "see `jukebox plugin list`",
        ),
        (("--top-k", 0), "sampler 'top-k': must be 1 or more", "see `jukebox plugin list`"),
        (
            ("--top-p", 2),
            "sampler 'top-p': must be more than 0 and at most 1",
            "see `jukebox plugin list`",
        ),
        (("--min-p", -1), "sampler 'min-p': must be from 0 to 1", "see `jukebox plugin list`"),
        (("--seed", -1), "--seed must be from 0 to 2^63 - 1, not -1", "try 1"),
        (("--seed", 2**63), f"--seed must be from 0 to 2^63 - 1, not {2**63}", "try 1"),
        (("--model", "tniy"), "no model 'tniy'", "did you mean 'tiny'?"),
        (
            ("--model", "music"),
            "music is not a model: it has no config.yaml",
            "see `jukebox model list`",
        ),
        (("--set", "a=1"), "--set changes a preset, and none is given", "add --preset NAME"),
        (("--preset", "rokc"), "no preset 'rokc'", "did you mean 'rock'?"),
        (
            ("--preset", "no/such.yaml"),
            "no preset file no/such.yaml",
            "check the path, or see `jukebox preset list`",
        ),
        (("--device", "mps"), "no device 'mps' on this machine", "use --device auto or cpu"),
    ],
)
def test_a_word_or_number_that_will_not_do(
    words: tuple[object, ...],
    error: str,
    hint: str,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    refused(*MAKE, *words, error=error, hint=hint)


@pytest.mark.parametrize(
    ("number", "told"), [(0, 0), (-1, -1), ("nan", "nan"), ("inf", "inf"), (1e9, "1e+09")]
)
@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--model", "tiny", "--out", "out", "--seconds"),
        ("continue", "run", "--seconds"),
        ("continue", "--audio", "tone.wav", "--model", "tiny", "--out", "out", "--prime"),
    ],
)
def test_a_length_that_is_none(
    words: tuple[object, ...], number: object, told: object, refused: Refused
) -> None:
    error = f"{words[-1]} must be more than 0 and less than 1,000,000, not {told}"
    refused(*words, number, error=error, hint="try 20")


READ = "write a number, a list 0,2 or a range 4-7"
SPLIT = "make them in several runs, or in several commands with 0-9999, 10000-19999 ..."


@pytest.mark.parametrize("items", ["0", "-1", "x", "4-2", "1,,2", "1.5", "", "1" * 10])
def test_items_that_are_none(items: str, refused: Refused) -> None:
    refused(*MAKE, "--items", items, error=f"can't read --items '{items}'", hint=READ)


@pytest.mark.parametrize("items", ["10001", "0-10000", "0-9000,9000-99999", "999999999"])
def test_items_that_are_too_many(items: str, refused: Refused) -> None:
    error = f"--items '{items}' are more than 10,000 at once"
    refused(*MAKE, "--items", items, error=error, hint=SPLIT)


def test_a_condition_that_the_model_has_no_use_for(place: Path, refused: Refused) -> None:
    for level in range(3):
        (place / f"models/tiny/prior-{level}.json").unlink()
    error = "model 'tiny' has no use for --genre"
    refused(*MAKE, "--genre", "rock", error=error, hint="it takes no conditions")


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("genrate",), "no such command 'genrate'", "did you mean 'generate'?"),
        (("generate", "--modle", "x"), "no such option: --modle", "did you mean '--model'?"),
        (
            ("generate", "--seed", "x"),
            "invalid value for '--seed': Input should be a valid integer, "
            "unable to parse string as an integer",
            "see `jukebox generate --help`",
        ),
        (
            ("decode", "run", "--format", "aiff"),
            "invalid value for '--format': 'aiff' is not one of 'wav', 'flac', 'ogg', 'mp3'",
            "see `jukebox decode --help`",
        ),
        (("decode",), "missing argument 'RUN'", "see `jukebox decode --help`"),
        (("train", "prior"), "missing argument 'CORPUS'", "see `jukebox train prior --help`"),
        (("--nosuch",), "no such option: --nosuch", "see `jukebox --help`"),
    ],
)
def test_a_command_line_that_is_none(
    words: tuple[str, ...], error: str, hint: str, refused: Refused
) -> None:
    refused(*words, error=error, hint=hint)


def test_continue_needs_one_thing_to_go_on_from(refused: Refused) -> None:
    error, hint = "continue needs a RUN or --audio, and not both", "see --help"
    refused("continue", error=error, hint=hint)
    refused("continue", "run", "--audio", "tone.wav", error=error, hint=hint)
    refused(
        *("continue", "--audio", "tone.wav"),
        error="continue --audio needs --out",
        hint="name a folder for the run",
    )


@pytest.mark.parametrize(
    "words", [("--top-k", 3), ("--preset", "rock"), ("--prime", 0), ("--set", "a=1")]
)
def test_a_run_keeps_its_sampling(words: tuple[object, ...], refused: Refused) -> None:
    refused(
        *("continue", "run", *words),
        error="a RUN goes on with the sampling it began with",
        hint="a run keeps its own; start from its audio to change them",
    )


@pytest.mark.parametrize("words", [("--artist", "Ada"), ("--seed", -1), ("--genre", "polka")])
def test_a_continue_that_is_refused_leaves_the_run_as_it_was(
    words: tuple[object, ...], place: Path, jukebox: Jukebox
) -> None:
    before = contents(place)
    assert jukebox("continue", "run", *SECONDS, *words).code == 2
    assert jukebox("continue", "run", *SECONDS, *words, "--out", "copy").code == 2
    assert contents(place) == before


# presets; more of them in test_config.py


@pytest.mark.parametrize(
    ("text", "error", "hint"),
    [
        ("secnds: 1\n", "no key 'secnds' in p.yaml:1", "did you mean 'seconds'?"),
        (
            "model: tiny\nsong: [\n",
            "p.yaml:3: bad YAML: expected the node content, but found '<stream end>'",
            "check the indentation and the quotes around that line",
        ),
        (
            "seconds: -2\n",
            "seconds in p.yaml:1 must be more than 0 and less than 1,000,000, not -2",
            "try 20",
        ),
        ("seed: -2\n", "seed in p.yaml:1 must be from 0 to 2^63 - 1, not -2", "try 1"),
        ("items: -2\n", "can't read items in p.yaml:1 '-2'", READ),
        ("song: {gerne: rock}\n", "p.yaml:1: no condition 'gerne'", "did you mean 'genre'?"),
        (
            "song:\n  genre: rock\n  artist: 311\n",
            "p.yaml:3: can't read artist 311",
            "write a name, in quotes",
        ),
        ("song: {artist: 311}\n", "p.yaml:1: can't read artist 311", "write a name, in quotes"),
        (
            "sampling: {hop: [1, 0, 1]}\n",
            "p.yaml:1: the hop of level 1 must be more than 0 and at most 1, not 0",
            "try 0.5",
        ),
        (
            "vqvae: {bins: 5}\n",
            "p.yaml is the shape of a model and no song",
            "train one with it: `jukebox train vqvae --preset`, or choose another",
        ),
        (
            "seed: 1\nsampling:\n  knobs: [{}, {}, {temp: 1}]\n",
            "p.yaml:3: no sampling knob 'temp'",
            "did you mean 'temperature'?",
        ),
    ],
)
def test_a_preset_that_will_not_do(
    text: str, error: str, hint: str, place: Path, refused: Refused
) -> None:
    (place / "p.yaml").write_text(text)
    words = ("generate", "--preset", "p.yaml", "--model", "tiny", "--out", "out")
    refused(*words, error=error, hint=hint)


# runs


@pytest.mark.parametrize("command", ["continue", "upsample", "decode"])
@pytest.mark.parametrize(
    ("name", "error"),
    [("nosuch", "nosuch does not exist"), ("music", "music is not a run: it has no run.yaml")],
)
def test_a_run_that_is_none(command: str, name: str, error: str, refused: Refused) -> None:
    refused(command, name, error=error, hint="make one with `jukebox generate --out`")


@pytest.mark.parametrize("command", ["continue", "upsample", "decode"])
def test_an_item_that_is_not_there(command: str, refused: Refused) -> None:
    refused(command, "run", "--items", "1-3", error="run has no item 2", hint="it has 0, 1")
    refused(command, "run", "--items", "4-2", error="can't read --items '4-2'", hint=READ)


def test_a_level_that_is_not_there(place: Path, refused: Refused) -> None:
    error, hint = "there is no level 3", "the top level is 2"
    refused("decode", "run", "--level", 3, error=error, hint=hint)
    words = ("train", "vqvae", "tone.wav", "--model", "models/new", "--level", 1, "--level", 3)
    refused(*words, error=error, hint=hint)


@pytest.mark.parametrize("command", ["continue", "upsample", "decode"])
def test_a_run_of_another_model(command: str, refused: Refused) -> None:
    refused(
        *(command, "run", "--model", "other"),
        error="run is a run of another model than 'other'",
        hint="name the folder of the model it was made with: --model",
    )


def test_a_run_whose_model_has_changed_or_is_gone(place: Path, refused: Refused) -> None:
    text = (place / "run/run.yaml").read_text().splitlines(keepends=True)
    mine = [line if not line.startswith("model:") else "model: models/mine\n" for line in text]
    (place / "run/run.yaml").write_text("".join(mine))
    refused(
        *("upsample", "run"),
        error="the model of run is not there: 'models/mine'",
        hint="say where it is now: --model FOLDER",
    )
    refused(
        "upsample", "run", "--model", "tniy", error="no model 'tniy'", hint="did you mean 'tiny'?"
    )
    shutil.copytree("models/other", "models/mine")
    refused(
        *("upsample", "run"),
        error="run is a run of another model than 'mine'",
        hint="name the folder of the model it was made with: --model",
    )


def test_a_level_that_is_not_whole_is_not_decoded(
    place: Path, jukebox: Jukebox, refused: Refused
) -> None:
    assert jukebox(*MAKE, "--until", "top").code == 0
    refused(
        *("decode", "out"),
        error="item 0 of out is not whole at level 0",
        hint="finish it with `jukebox upsample`, or choose others: --items, --level",
    )


def test_a_level_is_not_drawn_under_one_that_is_not_whole(
    tiny: Model, registry: Registry, place: Path, jukebox: Jukebox
) -> None:
    from jukebox_cli.sampling.run_setup import reopen_job

    assert jukebox(*MAKE, "--until", "top").code == 0
    job = reopen_job(Path("out"), registry, None)
    with pytest.raises(InputError) as caught:
        sample_level(job, 0)
    assert caught.value.message == "item 0 of out is not whole at level 1"
    assert caught.value.hint == "finish that level first, with the command that began it"


@pytest.mark.parametrize("name", ["music-2", "notes.txt", "corpus"])
def test_what_is_in_the_way_is_left_alone(name: str, place: Path, refused: Refused) -> None:
    (place / "music-2").mkdir()
    (place / "music-2" / "song.mp3").touch()
    (place / "notes.txt").write_text("x")
    Corpus(place / "corpus").write_config(CorpusConfig())
    error, hint = f"{name} is there already and is not a run", "choose another --out"
    refused(*MAKE[:-1], name, error=error, hint=hint)
    refused("continue", "run", *SECONDS, "--out", name, error=error, hint=hint)
    for command in (("continue", "--audio"), ("tokenize",)):
        refused(*command, "tone.wav", "--model", "tiny", "--out", name, error=error, hint=hint)


def test_a_run_is_no_corpus(refused: Refused) -> None:
    refused(
        *("tokenize", "tone.wav", "--model", "tiny", "--as", "corpus", "--out", "run", "--quiet"),
        error="run is there already and is not a corpus",
        hint="choose another --out",
    )


# files that are damaged


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def garble(path: Path) -> None:
    path.write_bytes(b"x" * 500)


def holds(array: np.ndarray) -> Callable[[Path], None]:
    about = {"given": "0", "bins": "64"}
    return lambda path: save_file({"tokens": array}, path, about)


AGAIN = "delete that file and run `jukebox upsample` or `jukebox generate` again"
DELETE = f"restore it from a copy; or {AGAIN}"


@pytest.mark.parametrize("command", ["generate", "continue", "upsample", "decode"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "Error while deserializing header: incomplete metadata, file not fully covered"),
        (garble, "Error while deserializing header: header too large"),
        (lambda path: path.write_bytes(b""), "Error while deserializing header: header too small"),
        (holds(np.zeros(100, np.float32)), "tokens are 1-D float32, not 1-D uint16"),
        (holds(np.zeros((10, 10), np.uint16)), "tokens are 2-D uint16, not 1-D uint16"),
        (holds(np.full(100, 64, np.uint16)), "token 64 is not one of 64"),
    ],
)
def test_a_damaged_file_of_tokens(
    command: str, damage: Callable[[Path], None], reason: str, refused: Refused, place: Path
) -> None:
    path = Path("run/tokens/level-0/item-01.safetensors")
    damage(path)
    words = {
        "generate": (*MAKE[:-1], "run", "--items", 2),
        "continue": ("continue", "run", *SECONDS),
        "upsample": ("upsample", "run"),
        "decode": ("decode", "run", "--format", "flac"),
    }[command]
    refused(*words, error=f"{path} is damaged: {reason}", hint=DELETE)


def test_tokens_of_a_recording_are_not_replaced_by_drawn_ones(
    refused: Refused, place: Path, jukebox: Jukebox
) -> None:
    again = ("tokenize", "tone.wav", "--model", "models/tiny", "--out", "heard", "--as", "run")
    assert jukebox(*again).code == 0
    path = Path("heard/tokens/level-1/item-00.safetensors")
    hint = "restore it from a copy, or make the run anew from its recording"
    whole = path.read_bytes()
    cut(path)
    reason = "Error while deserializing header: incomplete metadata, file not fully covered"
    refused("decode", "heard", "--level", 1, error=f"{path} is damaged: {reason}", hint=hint)
    path.unlink()
    gone = f"{path}, which held a recording, is gone"
    refused("upsample", "heard", error=gone, hint=hint)
    refused(*again, error=gone, hint=hint)
    path.write_bytes(whole)
    assert jukebox(*again).code == jukebox("upsample", "heard").code == 0


def test_what_a_damaged_file_says_to_do_works(place: Path, jukebox: Jukebox) -> None:
    before = all_tokens(Path("run"))
    path = Path("run/tokens/level-0/item-01.safetensors")
    cut(path)
    assert jukebox("upsample", "run").code == 2
    path.unlink()
    assert jukebox("upsample", "run").code == 0
    assert all_tokens(Path("run")) == before


@pytest.mark.parametrize(
    ("name", "text", "error", "hint"),
    [
        (
            "song.json",
            '{"format": 1,\n "sam',
            "run/song.json:2: damaged: Unterminated string starting at",
            "restore it from a copy, or make it again",
        ),
        (
            "song.json",
            "{}",
            "run/song.json is damaged: KeyError: 'samples'",
            "restore it from a copy, or make it again",
        ),
        ("song.json", "[]", "run/song.json: damaged: not a mapping", "restore it from a copy"),
        (
            "items/item-00.json",
            '{"samples": 800}',
            "run/items/item-00.json is damaged: KeyError: 'song'",
            "restore it from a copy, or make it again",
        ),
        (
            "run.yaml",
            "format: 1\nmodel: [\n",
            "run/run.yaml:3: bad YAML: expected the node content, but found '<stream end>'",
            "check the indentation and the quotes around that line",
        ),
        ("run.yaml", "modle: x\n", "no key 'modle' in run/run.yaml:1", "did you mean 'model'?"),
        (
            "run.yaml",
            "format: 2\n",
            "run/run.yaml: format 2 is not known here, only format 1",
            "correct that value",
        ),
    ],
)
def test_a_damaged_file_of_a_run(
    name: str, text: str, error: str, hint: str, place: Path, refused: Refused
) -> None:
    path = place / "run" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    refused("upsample", "run", error=error, hint=hint)


def test_a_run_that_lost_its_song(place: Path, refused: Refused) -> None:
    (place / "run/song.json").unlink()
    refused("upsample", "run", error="no file run/song.json", hint="check the path")


# models


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        (
            "prior-0.safetensors",
            "model 'tiny' has no prior for level 0",
            "train one with `jukebox train prior --level 0`",
        ),
        (
            "vqvae-1.safetensors",
            "model 'tiny' has no vqvae for level 1",
            "train one with `jukebox train vqvae --level 1`",
        ),
    ],
)
def test_a_model_that_is_half_there(
    name: str, error: str, hint: str, place: Path, refused: Refused
) -> None:
    (place / "models/tiny" / name).unlink()
    refused(*MAKE, error=error, hint=hint)


def test_a_model_without_its_config(place: Path, refused: Refused) -> None:
    (place / "models/tiny/config.yaml").unlink()
    error, hint = "models/tiny is not a model: it has no config.yaml", "see `jukebox model list`"
    refused("model", "show", "models/tiny", error=error, hint=hint)
    known = unknown_name("model", "tiny", model_names())
    refused(*MAKE, error="no model 'tiny'", hint=str(known.hint))


def test_what_is_there_of_a_model_can_be_used(place: Path, jukebox: Jukebox) -> None:
    for name in ("prior-0", "prior-1", "vqvae-0"):
        (place / f"models/tiny/{name}.safetensors").unlink()
    assert jukebox(*MAKE, "--until", "top").code == 0


@pytest.mark.parametrize("part", ["prior-0", "prior-2", "vqvae-0"])
def test_damaged_weights(part: str, place: Path, refused: Refused) -> None:
    path = Path(f"models/tiny/{part}.safetensors")
    for damage, reason in (
        (cut, "incomplete metadata, file not fully covered"),
        (garble, "header too large"),
    ):
        damage(path)
        error = f"{path} is damaged: Error while deserializing header: {reason}"
        refused(*MAKE, error=error, hint="restore it from a copy")


def test_weights_of_another_shape(place: Path, jukebox: Jukebox, registry: Registry) -> None:
    path = place / "models/tiny/config.yaml"
    path.write_text(path.read_text().replace("width: 32", "width: 48"))
    result = jukebox(*MAKE)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(
        "error: the weights of model 'tiny' do not fit: size mismatch for "
    )
    assert result.err.endswith("\n\nhint: its config.yaml and its weights are not of one model\n")


@pytest.mark.parametrize(
    ("fields", "error", "hint"),
    [
        (
            {"genre": {"name": ["x"]}},
            "no setting 'name' of conditioner 'genre'",
            "did you mean 'names'?",
        ),
        (
            {"genre": {"names": [1]}},
            "conditioner 'genre': names.0: Input should be a valid string (got 1)",
            "see `jukebox plugin list`",
        ),
        ({"gerne": {}}, "no conditioner 'gerne'", "did you mean 'genre'?"),
    ],
)
def test_conditioners_with_fields_of_another_shape(
    fields: dict[str, Any], error: str, hint: str, place: Path, refused: Refused
) -> None:
    Model(place / "models/tiny").write_fitted_conditioners(2, fields)
    refused(*MAKE, error=error, hint=hint)
    refused("model", "show", "tiny", error=error, hint=hint)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError) as caught:
        devices.pick_device(name)
    assert caught.value.message == f"no device '{name}' on this machine"
    assert caught.value.hint == "use --device auto or cpu"
    assert [str(devices.pick_device(name)) for name in ("auto", "cpu")] == ["cpu", "cpu"]


# training


TRAIN = ("train", "vqvae", "tone.wav", "--model", "models/new", "--steps", 1, "--batch", 1)


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--precision", "fp8"), "no precision 'fp8'", "use auto, fp32 or bf16"),
        (("--preset", "mini-recpie"), "no preset 'mini-recpie'", "did you mean 'mini-recipe'?"),
        (("--seed", 2**63), f"--seed must be from 0 to 2^63 - 1, not {2**63}", "try 1"),
        (("--device", "mps"), "no device 'mps' on this machine", "use --device auto or cpu"),
    ],
)
def test_training_that_can_not_begin_makes_no_model(
    words: tuple[object, ...],
    error: str,
    hint: str,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    refused(*TRAIN, *words, error=error, hint=hint)
    assert not Path("models/new").exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("seconds: 3\n", "no key 'seconds' in p.yaml:1"),
        ("seconds: 3\nsong: {}\n", "p.yaml is a song and not the shape of a model"),
    ],
)
def test_a_preset_of_a_song_is_none_of_a_model(
    text: str, error: str, place: Path, jukebox: Jukebox
) -> None:
    (place / "p.yaml").write_text(text)
    result = jukebox(*TRAIN, "--preset", "p.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {error}\n")
    assert not Path("models/new").exists()


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("seconds=abc", "seconds: Input should be a valid number"),
        ("sampling.hop=[a]", "sampling.hop.0: Input should be a valid number"),
        ("sampling.hop.0=a", "sampling.hop.0: Input should be a valid number"),
        ("sampling.hop.0=0", "the hop of level 0 must be more than 0 and at most 1, not 0"),
        ("sampling.knobs=[{temp: 1}]", "no sampling knob 'temp'"),
        ("song.artist=311", "can't read artist 311"),
    ],
)
def test_what_set_says_is_blamed_on_it(
    setting: str, error: str, place: Path, jukebox: Jukebox
) -> None:
    (place / "p.yaml").write_text("seconds: 3\nsampling: {hop: [1, 1, 1]}\n")
    result = jukebox("generate", "--preset", "p.yaml", "--set", setting, "--out", "out")
    assert result.code == 2
    assert result.err.startswith(f"error: --set '{setting}': {error}")


def test_training_needs_something_that_is_not_held_out(place: Path, refused: Refused) -> None:
    (place / "songs.csv").write_text("audio,held_out\ntone.wav,true\n")
    words = ("train", "vqvae", "songs.csv", *TRAIN[3:])
    hint = "name audio files, folders or a manifest"
    refused(*words, error="no audio to train on", hint=hint)


def corpus(place: Path, model: str) -> Corpus:
    made = Corpus(place / "corpus")
    config = Model(place / "models" / model).config.vqvae
    fingerprint = Model(place / "models" / model).fingerprint()
    made.write_config(CorpusConfig(1, fingerprint, 8000, config.hop_lengths, config.codebook_size))
    return made


def test_a_corpus_that_will_not_do(place: Path, refused: Refused) -> None:
    prior = ("train", "prior", "corpus", "--model", "models/tiny", "--level")
    (place / "corpus").mkdir()
    error = "corpus is not a corpus"
    refused(*prior, 2, error=error, hint="make one with `jukebox tokenize`")
    made = corpus(place, "other")
    refused(
        *(*prior, 2),
        error="corpus was tokenized with another model than 'tiny'",
        hint="tokenize the songs again with this model, into a new corpus",
    )
    refused(
        *("tokenize", "tone.wav", "--as", "corpus", "--model", "tiny", "--out", "corpus", "-q"),
        error="corpus was made with another model than 'tiny'",
        hint="choose another folder with --out",
    )
    corpus(place, "tiny")
    empty = "corpus holds no songs to train on"
    refused(*prior, 2, error=empty, hint="add some with `jukebox tokenize`")
    refused(*prior, 3, error="model 'tiny' has no level 3", hint="its levels are 0, 1, 2")
    made.append("a", 160, {}, True, [np.zeros(40), np.zeros(20), np.zeros(10)])
    refused(*prior, 2, error=empty, hint="add some with `jukebox tokenize`")
    made.append("b", 160, {}, False, [np.zeros(40), np.zeros(20), np.zeros(10)])
    os.truncate(place / "corpus/level-1.bin", 78)
    refused(
        *(*prior, 2),
        error="corpus/level-1.bin is damaged: 39 tokens, not 40",
        hint="tokenize the songs into a new corpus",
    )


def test_training_that_goes_wrong_keeps_its_last_checkpoint(place: Path, jukebox: Jukebox) -> None:
    (place / "shape.yaml").write_text(TINY)
    words = ("train", "vqvae", "tone.wav", "--model", "models/new", "--preset", "shape.yaml")
    few = ("--level", 2, "--batch", 1, "--crop", 0.1, "--save-every", 2, "--quiet")
    assert jukebox(*words, *few, "--steps", 2).code == 0
    kept = {n: data for n, data in contents(place / "models/new").items() if n != "log.jsonl"}
    result = jukebox(*words, *few, "--steps", 9, "--rate", 1e30)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "error: the loss of vqvae-2 is not finite at step 4\n\n"
        "hint: train with a lower --learning-rate; the last checkpoint was kept\n"
    )
    after = contents(place / "models/new")
    assert {name: after[name] for name in kept} == kept


def test_a_checkpoint_of_another_shape(place: Path, refused: Refused, jukebox: Jukebox) -> None:
    (place / "shape.yaml").write_text(TINY)
    words = ("train", "vqvae", "tone.wav", "--model", "models/new", "--preset", "shape.yaml")
    few = ("--level", 2, "--steps", 1, "--batch", 1, "--crop", 0.1, "--quiet")
    assert jukebox(*words, *few).code == 0
    path = Path("models/new/train/vqvae-2.safetensors")
    tensors = load_tensors(path)
    name = next(name for name in tensors if name.startswith("module/"))
    save_tensors(path, {**tensors, name: torch.zeros(3)}, {"step": "1"})
    refused(
        *(*words, *few),
        error=f"{path} does not fit vqvae-2: wrong shape of {name.removeprefix('module/')}",
        hint=f"remove {path} to start again, or train with the preset it was made with",
    )


# disks


class Disk(Protocol):
    """A place to write to that can be full."""

    path: Path

    def fill(self) -> None: ...

    def free(self) -> None: ...


class SmallDisk:
    """A file system of 256 kB."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        space = os.statvfs(self.path)
        (self.path / "filling").write_bytes(b"x" * space.f_bavail * space.f_frsize)

    def free(self) -> None:
        (self.path / "filling").unlink()


class PretendedDisk:
    """For those who may not mount one: files can not be moved into place while it is full."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.monkeypatch = path, monkeypatch

    def fill(self) -> None:
        def full(*words: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.monkeypatch.setattr(os, "replace", full)

    def free(self) -> None:
        self.monkeypatch.undo()


def mounted(path: Path, options: str) -> bool:
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    if mounted(path, "size=256k"):
        yield SmallDisk(path)
        subprocess.run(["umount", str(path)], check=True)
    else:
        with pytest.MonkeyPatch.context() as monkeypatch:
            yield PretendedDisk(path, monkeypatch)


FULL = "hint: free some space and run the same command again: it goes on from here\n"


def parts(folder: Path) -> list[Path]:
    """Files that are half written."""
    return list(folder.rglob("*.part"))


@pytest.mark.parametrize("until", ["nothing", "top", "tokens"])
def test_no_space_left_while_a_song_is_made(
    until: str, template: Path, disk: Disk, jukebox: Jukebox
) -> None:
    run = disk.path / "run"
    words = ("generate", "--model", template / "models/tiny", *SECONDS, "--items", 2, "--out", run)
    if until != "nothing":
        assert jukebox(*words, "--until", until).code == 0
    disk.fill()
    before = all_tokens(run)
    result = jukebox(*words, "--quiet")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: can't write {run}/")
    assert result.err.endswith(f": No space left on device\n\n{FULL}")
    assert parts(disk.path) == []
    assert all_tokens(run) == before
    disk.free()
    assert jukebox(*words).code == 0
    assert all_tokens(run) == all_tokens(template / "run")


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_no_space_left_for_the_sound(
    kind: str, template: Path, disk: Disk, jukebox: Jukebox
) -> None:
    run = Path(shutil.copytree(template / "run", disk.path / "run"))
    words = ("decode", run, "--level", 1, "--format", kind, "--items", "0,")
    disk.fill()
    path = run / "audio" / "level-1" / f"item-00.{kind}"
    assert jukebox(*words, "--quiet") == Result(
        2, "", f"error: can't write {path}: No space left on device\n\n{FULL}"
    )
    assert not path.exists()
    assert parts(disk.path) == []
    disk.free()
    assert jukebox(*words).out == f"{path}\n"


def test_no_space_left_for_a_checkpoint(place: Path, disk: Disk, jukebox: Jukebox) -> None:
    (place / "shape.yaml").write_text(TINY)
    words = ("train", "vqvae", "tone.wav", "--model", disk.path / "model", "--preset", "shape.yaml")
    few = ("--level", 2, "--batch", 1, "--crop", 0.1, "--quiet")
    assert jukebox(*words, *few, "--steps", 1).code == 0
    disk.fill()
    before = contents(disk.path / "model" / "train")
    result = jukebox(*words, *few, "--steps", 2)
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith(f": No space left on device\n\n{FULL}")
    assert contents(disk.path / "model" / "train") == before
    disk.free()
    assert jukebox(*words, *few, "--steps", 2).code == 0


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[Path, str, str]]:
    """A folder that nobody can write to, what the system says to that, and our hint."""
    path = tmp_path / "locked"
    if mounted(path, "ro"):
        yield (
            path,
            "Read-only file system",
            "choose another folder: this one is read-only",
        )
        subprocess.run(["umount", str(path)], check=True)
        return

    def refuse(self: Path, *words: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Path, "mkdir", refuse)
        hint = "change its permissions, or choose another folder"
        yield path, "Permission denied", hint


@pytest.mark.parametrize(
    ("command", "first"),
    [
        (("generate", *SECONDS), "song.json"),
        (("continue", "--audio", "tone.wav", *SECONDS), "tokens/level-0/item-00.safetensors"),
        (("tokenize", "tone.wav"), "tokens/level-0/item-00.safetensors"),
        (("tokenize", "tone.wav", "--as", "corpus"), "corpus.yaml"),
    ],
)
def test_a_folder_that_can_not_be_written_to(
    command: tuple[object, ...], first: str, locked: tuple[Path, str, str], refused: Refused
) -> None:
    folder, reason, hint = locked
    words = ("--model", "tiny", "--out", folder / "out", "--quiet")
    refused(*command, *words, error=f"can't write {folder}/out/{first}: {reason}", hint=hint)


def test_a_folder_that_can_not_be_looked_into(
    place: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Path.is_file

    def refuse(self: Path) -> bool:
        if "closed" in self.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return look(self)

    monkeypatch.setattr(Path, "is_file", refuse)
    refused(
        *("generate", "--model", "closed/tiny", *SECONDS),
        error="can't use closed/tiny/config.yaml: Permission denied",
        hint="change its permissions, or those of the folders around it",
    )


def test_a_copy_into_a_folder_that_can_not_be_written_to(
    locked: tuple[Path, str, str], refused: Refused
) -> None:
    folder, reason, hint = locked
    error = f"can't write {folder}/out/tokens/level-0/item-00.safetensors: {reason}"
    refused("continue", "run", *SECONDS, "--out", folder / "out", error=error, hint=hint)


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        (
            "tone.wav/out",
            "can't write tone.wav/out/song.json: Not a directory",
            "choose another folder: part of this path is a file",
        ),
        (
            "x" * 300,
            f"can't use {'x' * 300}/run.yaml: File name too long",
            "choose a shorter name",
        ),
    ],
)
def test_a_path_that_can_not_be(name: str, error: str, hint: str, refused: Refused) -> None:
    refused(*MAKE[:-1], name, error=error, hint=hint)


# what is nobody's fault


def test_what_was_not_foreseen_is_one_line_and_exit_code_1(
    place: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: object) -> None:
        raise RuntimeError("the sky fell")

    monkeypatch.setattr("jukebox_cli.sampling.checks.check", broken)
    hint = "hint: `jukebox --traceback ...` shows where; please report it\n"
    assert jukebox(*MAKE) == Result(1, "", f"error: RuntimeError: the sky fell\n\n{hint}")
    with pytest.raises(RuntimeError, match="the sky fell"):
        jukebox("--traceback", *MAKE)
    with pytest.raises(InputError, match="no model 'nosuch'"):
        jukebox("--traceback", "generate", "--model", "nosuch")
