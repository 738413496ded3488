"""Errors of `jukebox generate`: values, presets, folders, disks."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from support.command_line import (
    FULL_DISK_HINT,
    GENERATE,
    SECONDS_OPTION,
    Jukebox,
    Refused,
    partial_files,
)
from support.disks import Disk
from support.run_files import all_tokens

OPTIONS_HINT = "see `jukebox generate --help`"


@pytest.mark.usefixtures("no_gpu")
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
        (("--genre", ",".join(["rock"] * 6)), "6 genres are too many", "give 5 at most"),
        (
            ("--temperature", 0),
            "--temperature must be 0.001 or more, not 0",
            "for the most likely token use --greedy",
        ),
        (("--guidance", 3e37), "--guidance must be from 0 to 100, not 3e+37", "try 3"),
        (("--top-k", 0), "--top-k must be 1 or more, not 0", OPTIONS_HINT),
        (("--top-p", 2), "--top-p must be more than 0 and at most 1, not 2", "1 switches it off"),
        (("--min-p", -1), "--min-p must be from 0 to 1, not -1", OPTIONS_HINT),
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
        (("--device", "cuda"), "no device 'cuda' on this machine", "use --device auto or cpu"),
    ],
)
def test_an_invalid_value_is_an_error(
    words: tuple[object, ...], error: str, hint: str, refused: Refused
) -> None:
    refused(*GENERATE, *words, error=error, hint=hint)


@pytest.mark.parametrize(
    ("number", "shown"), [(0, 0), (-1, -1), ("nan", "nan"), ("inf", "inf"), (1e9, "1e+09")]
)
@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--model", "tiny", "--out", "out", "--seconds"),
        ("continue", "run", "--seconds"),
        ("continue", "--audio", "tone.wav", "--model", "tiny", "--out", "out", "--prime"),
    ],
)
def test_an_invalid_length_is_an_error(
    words: tuple[object, ...], number: object, shown: object, refused: Refused
) -> None:
    error = f"{words[-1]} must be more than 0 and less than 1,000,000, not {shown}"
    refused(*words, number, error=error, hint="try 20")


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("--items", 0), "--items must be 1 or more, not 0", "try 1"),
        (("--items", -1), "--items must be 1 or more, not -1", "try 1"),
        (
            ("--items", "0-1"),
            "--items is how many, not which: '0-1'",
            "choose some of them with --only 0-1",
        ),
        (
            ("--items", "x"),
            "--items must be a whole number",
            "write how many: --items 4",
        ),
        (
            ("--items", 4, "--only", "4-7"),
            "--only '4-7': there are only items 0 to 3",
            "set the number of items: --items 8",
        ),
        (
            ("--only", "2"),
            "--only '2': there is only item 0",
            "set the number of items: --items 3",
        ),
        (
            ("--items", 4, "--only", "x"),
            "can't read --only 'x'",
            "write a list such as 2, 0,2 or 4-7",
        ),
        (
            ("--items", 10_001),
            "--items 10001 asks for more than 10,000 items at once",
            "use several commands: --only 0-9999, --only 10000-19999 ...",
        ),
    ],
)
def test_invalid_items_are_errors(
    words: tuple[object, ...], error: str, hint: str, refused: Refused
) -> None:
    refused(*GENERATE, *words, error=error, hint=hint)


def test_an_invalid_sampling_option_of_a_model_is_an_error(place: Path, refused: Refused) -> None:
    path = place / "models/tiny/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["sampling"] = {"options": [{}, {}, {"top_k": 0}]}
    config["checksum"] = None
    path.write_text(yaml.safe_dump(config))
    error = "the model's sampling.options.2.top_k must be 1 or more, not 0"
    refused(*GENERATE, error=error, hint=OPTIONS_HINT)


def test_out_can_not_be_stdout(refused: Refused) -> None:
    error, hint = "can't write to '-'", "name a folder or file, such as --out runs/song"
    for command in (
        GENERATE[:-2],
        ("continue", "run"),
        ("tokenize", "tone.wav", "--model", "tiny"),
    ):
        refused(*command, "--out", "-", error=error, hint=hint)


def test_an_unused_condition_is_an_error(place: Path, refused: Refused) -> None:
    for level in range(3):
        (place / f"models/tiny/prior-{level}.json").unlink()
    error = "model 'tiny' has no use for --genre"
    refused(*GENERATE, "--genre", "rock", error=error, hint="it takes no conditions")


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
        ("items: -2\n", "items in p.yaml:1 must be 1 or more, not -2", "try 1"),
        ("song: {gerne: rock}\n", "p.yaml:1: no condition 'gerne'", "did you mean 'genre'?"),
        (
            "song:\n  genre: rock\n  artist: 311\n",
            "p.yaml:3: can't read artist 311",
            "write a name, in quotes",
        ),
        ("song: {artist: 311}\n", "p.yaml:1: can't read artist 311", "write a name, in quotes"),
        (
            "sampling: {hop_fraction: [1, 0, 1]}\n",
            "p.yaml:1: the hop_fraction of level 1 must be more than 0 and at most 1, not 0",
            "try 0.5",
        ),
        (
            "vqvae: {codebook_size: 5}\n",
            "p.yaml is a training preset, not a song",
            "train a model with it: `jukebox train vqvae --preset`, or choose another preset",
        ),
        (
            "seed: 1\nsampling:\n  options: [{}, {}, {temp: 1}]\n",
            "p.yaml:3: no sampling option 'temp'",
            "did you mean 'temperature'?",
        ),
        (
            "sampling:\n  options:\n  - {}\n  - {top_p: 2}\n",
            "p.yaml:4: top_p must be more than 0 and at most 1, not 2",
            "1 switches it off",
        ),
    ],
)
def test_an_invalid_preset_is_an_error(
    text: str, error: str, hint: str, place: Path, refused: Refused
) -> None:
    (place / "p.yaml").write_text(text)
    words = ("generate", "--preset", "p.yaml", "--model", "tiny", "--out", "out")
    refused(*words, error=error, hint=hint)


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("seconds=abc", "seconds: must be a number"),
        ("sampling.hop_fraction=[a]", "sampling.hop_fraction.0: must be a number"),
        ("sampling.hop_fraction.0=a", "sampling.hop_fraction.0: must be a number"),
        (
            "sampling.hop_fraction.0=0",
            "the hop_fraction of level 0 must be more than 0 and at most 1, not 0",
        ),
        ("sampling.options=[{temp: 1}]", "no sampling option 'temp'"),
        ("song.artist=311", "can't read artist 311"),
    ],
)
def test_an_invalid_override_is_named_in_the_error(
    setting: str, error: str, place: Path, jukebox: Jukebox
) -> None:
    (place / "p.yaml").write_text("seconds: 3\nsampling: {hop_fraction: [1, 1, 1]}\n")
    result = jukebox("generate", "--preset", "p.yaml", "--set", setting, "--out", "out")
    assert result.code == 2
    assert result.err.startswith(f"error: --set '{setting}': {error}")


@pytest.mark.parametrize("name", ["music-2", "notes.txt", "corpus"])
def test_an_existing_file_is_not_replaced(name: str, place: Path, refused: Refused) -> None:
    (place / "music-2").mkdir()
    (place / "music-2" / "song.mp3").touch()
    (place / "notes.txt").write_text("x")
    Corpus(place / "corpus").write_config(CorpusConfig())
    error, hint = f"{name} exists already and is not a run", "choose another --out"
    refused(*GENERATE[:-1], name, error=error, hint=hint)
    refused("continue", "run", *SECONDS_OPTION, "--out", name, error=error, hint=hint)
    for command in (("continue", "--audio"), ("tokenize",)):
        refused(*command, "tone.wav", "--model", "tiny", "--out", name, error=error, hint=hint)


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        (
            "tone.wav/out",
            "can't write tone.wav/out: tone.wav is a file",
            "choose another --out",
        ),
        (
            "x" * 300,
            f"can't use {'x' * 300}/run.yaml: File name too long",
            "choose a shorter name",
        ),
    ],
)
def test_an_impossible_path_is_an_error(name: str, error: str, hint: str, refused: Refused) -> None:
    refused(*GENERATE[:-1], name, error=error, hint=hint)


@pytest.mark.parametrize(
    "command",
    [
        ("generate", *SECONDS_OPTION),
        ("continue", "--audio", "tone.wav", *SECONDS_OPTION),
        ("tokenize", "tone.wav"),
        ("tokenize", "tone.wav", "--as", "corpus"),
    ],
)
def test_a_read_only_folder_is_an_error(
    command: tuple[object, ...], locked: tuple[Path, str, str], refused: Refused
) -> None:
    folder, reason, hint = locked
    words = ("--model", "tiny", "--out", folder / "out", "--quiet")
    refused(*command, *words, error=f"can't write {folder}/out: {reason}", hint=hint)


def test_an_unreadable_folder_is_an_error(
    place: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Path.is_file

    def refuse(self: Path) -> bool:
        if "closed" in self.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return look(self)

    monkeypatch.setattr(Path, "is_file", refuse)
    refused(
        *("generate", "--model", "closed/tiny", *SECONDS_OPTION),
        error="can't use closed/tiny/config.yaml: Permission denied",
        hint="change its permissions, or those of the folders around it",
    )


@pytest.mark.parametrize("until", ["nothing", "top", "tokens"])
def test_a_full_disk_while_sampling_is_an_error(
    until: str,
    template: Path,
    disk: Disk,
    jukebox: Jukebox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # there was room when the command began
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10**12))
    run = disk.path / "run"
    words = (
        "generate",
        "--model",
        template / "models/tiny",
        *SECONDS_OPTION,
        "--items",
        2,
        "--out",
        run,
    )
    if until != "nothing":
        assert jukebox(*words, "--until", until).code == 0
    disk.fill()
    before = all_tokens(run)
    result = jukebox(*words, "--quiet")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: can't write {run}/")
    assert result.err.endswith(f": No space left on device\n\n{FULL_DISK_HINT}")
    assert partial_files(disk.path) == []
    assert all_tokens(run) == before
    disk.free()
    assert jukebox(*words).code == 0
    assert all_tokens(run) == all_tokens(template / "run")
