"""How the page of `jukebox report` says a run is made again: that it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pretty_midi
import pytest
from jukebox_plugins.report.conditions import saying
from jukebox_plugins.report.recipe import command, items_text, seconds_text

from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.report_pages import Reader
from support.results import Result
from support.run_files import all_tokens, write_chord

Jukebox = Callable[..., Result]
Repeated = Callable[..., str]


# how it is made again


def words_of(script: str) -> list[list[str]]:
    """What a shell makes of the commands of a page: the words of each."""
    shell = 'jukebox() { printf \'%s\\0\' "$#" "$@"; }\n'
    done = subprocess.run(["sh", "-c", shell + script], check=True, capture_output=True)
    words, commands = done.stdout.decode().split("\0")[:-1], []
    while words:
        end = 1 + int(words[0])
        commands.append(words[1:end])
        words = words[end:]
    return commands


def generate(jukebox: Jukebox, model: Model, *words: object, seconds: float = 0.2) -> Path:
    command = ("generate", "--model", model.path, "--seconds", seconds, "--quiet", "--out", "song")
    result = jukebox(*command, *words)
    assert result.code == 0, result.err
    return Path("song").resolve()


@pytest.fixture
def run(here: Path, jukebox: Jukebox, tiny: Model) -> Path:
    """A run of two items."""
    words = ("--items", 2, "--seed", 7, "--artist", "Ada Vale", "--genre", "rock,jazz")
    return generate(jukebox, tiny, *words, seconds=0.5)


@pytest.fixture
def repeated(
    here: Path, jukebox: Jukebox, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> Repeated:
    """Does what the report of a run says, in a folder with nothing but the model, what the page
    offers to save, and more files; checks that the same run comes of it; gives the page's text."""

    def check(run: Path, *files: Path) -> str:
        assert jukebox("report", run, "--levels", 2).code == 0
        page = Reader(run / "report.html")
        again = here / "again"
        (again / "models").mkdir(parents=True)
        (again / "models" / "tiny").symlink_to(tiny.path)
        for name in [a["download"] for a in page.all("a") if "download" in a]:
            (again / str(name)).write_text(page.text_of(str(name)), encoding="utf-8")
        for file in files:
            shutil.copy(file, again)
        monkeypatch.chdir(again)
        for words in words_of(page.inside_of("commands")):
            result = jukebox(*words)
            assert result.code == 0, result.err
        assert all_tokens(again / run.name) == all_tokens(run)
        items = Run(run).items()
        assert Run(again / run.name).read_items(items) == Run(run).read_items(items)
        assert Run(again / run.name).config.sampling == Run(run).config.sampling
        return page.text

    return check


def test_a_run_is_made_again(run: Path, repeated: Repeated) -> None:
    text = repeated(run)
    assert (
        "jukebox generate --model tiny --seconds 0.5 --items 2 --seed 7 \\ "
        "--artist 'Ada Vale' --genre rock,jazz --out song"
    ) in text
    assert "The model “tiny”, of fingerprint" in text
    assert "in models/tiny, or name its folder with --model." in text


def test_with_knobs_of_every_level(
    here: Path, jukebox: Jukebox, tiny: Model, repeated: Repeated
) -> None:
    run = generate(
        jukebox, tiny, "--temperature", 0.8, "--top-k", 20, "--items", 6, "--only", "2,4-5"
    )
    assert "--items 6 --only 2,4-5 --seed 0 \\ --temperature 0.8 --top-k 20 --out song" in repeated(
        run
    )


def test_with_knobs_and_hops_of_single_levels(
    here: Path, jukebox: Jukebox, tiny: Model, repeated: Repeated
) -> None:
    Path("mine.yaml").write_text(
        "format: 2\nsampling: {hop_fraction: [0.5, 0.25, 0.75], "
        "options: [{temperature: 0.5}, {}, {top_k: 9}]}"
    )
    run = generate(jukebox, tiny, "--preset", "mine.yaml")
    assert "sampling.yaml, which the command reads format: 2 sampling: hop_fraction:" in repeated(
        run
    )


def test_a_run_of_the_top_level(
    here: Path, jukebox: Jukebox, tiny: Model, repeated: Repeated
) -> None:
    assert "--until top" in repeated(generate(jukebox, tiny, "--until", "top"))


def test_a_run_that_was_made_longer(
    here: Path, jukebox: Jukebox, tiny: Model, repeated: Repeated
) -> None:
    run = generate(jukebox, tiny, "--items", 2)
    jukebox("continue", run, "--seconds", "0.1")
    jukebox("continue", run, "--only", 1, "--seconds", "0.123", "--seed", 9, "--genre", "jazz")
    text = repeated(run)
    assert "jukebox continue song --seconds 0.1 " in text
    assert "jukebox continue song --seconds 0.123 --only 1 --seed 9 --genre jazz" in text
    assert "The seed of the beginning" not in text
    assert "a run that was made longer several times knows only the last" in text


def test_a_run_that_was_made_longer_with_another_seed(
    here: Path, jukebox: Jukebox, tiny: Model, repeated: Repeated
) -> None:
    run = generate(jukebox, tiny, "--seed", 4)
    jukebox("continue", run, "--seconds", "0.1", "--seed", 9)
    assert Run(run).config.seed == 9
    text = repeated(run)
    assert "--seconds 0.2 --seed 4 " in text
    assert "jukebox continue song --seconds 0.1 --seed 9" in text


def test_a_log_that_does_not_tell_the_first_seed(here: Path, jukebox: Jukebox, tiny: Model) -> None:
    run = generate(jukebox, tiny)
    jukebox("continue", run, "--seconds", "0.1")
    log = Run(run).log_file
    log.write_text(log.read_text().replace(', "before": 0', ""))
    jukebox("report", run)
    text = Reader(run / "report.html").text
    assert "The seed of the beginning, if it was made longer with another: this run's log" in text


def test_a_run_that_goes_on_from_a_recording(
    here: Path, jukebox: Jukebox, tiny: Model, repeated: Repeated
) -> None:
    riff = write_chord(here / "my riff.wav", 0.3)
    words = ("--audio", riff, "--model", tiny.path, "--seconds", 0.2, "--seed", 3)
    jukebox("continue", *words, "--out", "song")
    jukebox("continue", "song", "--seconds", 0.1)
    text = repeated(Path("song").resolve(), riff)
    assert "jukebox continue --audio 'my riff.wav' --prime 0.3 --model tiny --seconds 0.2" in text
    assert "The recording “my riff.wav”; that it is the same is checked by its hash." in text
    prompt = Run(here / "song").item(0).prompt
    assert prompt is not None
    assert f"hash of its recording {prompt.audio_hash}" in text


def test_recordings_that_became_tokens(here: Path, jukebox: Jukebox, tiny: Model) -> None:
    files = [write_chord(here / name, 0.1) for name in ("a.wav", "b.wav")]
    jukebox("tokenize", *files, "--model", tiny.path, "--out", "heard")
    jukebox("report", "heard")
    text = Reader(Path("heard/report.html")).text
    assert "jukebox tokenize recording-0.wav recording-1.wav --model tiny --as run \\" in text
    assert "The recordings that were turned into tokens, whatever their names." in text
    assert "manifest" not in text
    jukebox("continue", "heard", "--seconds", 0.1, "--genre", "jazz")
    jukebox("report", "heard")
    text = Reader(Path("heard/report.html")).text
    assert "How long the recordings were: they were made longer" in text
    assert "A manifest says what is known of each." in text


def test_without_its_model_a_preset_says_how_it_was_drawn(run: Path, jukebox: Jukebox) -> None:
    config = (run / "run.yaml").read_text()
    (run / "run.yaml").write_text(re.sub("^model: .*$", "model: /gone/tiny", config, flags=re.M))
    jukebox("report", run, "--levels", 0)
    page = Reader(run / "report.html")
    assert "jukebox generate --model tiny --seconds 0.5" in page.text
    assert "--preset sampling.yaml" in page.text
    assert page.text_of("sampling.yaml").startswith(
        "format: 2\nsampling:\n  hop_fraction:\n  - 0.5\n"
    )
    assert "/gone" not in page.text


def test_the_built_in_model_needs_no_words(run: Path, jukebox: Jukebox) -> None:
    config = (run / "run.yaml").read_text()
    (run / "run.yaml").write_text(re.sub("^model: .*$", "model: mini", config, flags=re.M))
    jukebox("report", run, "--levels", 0)
    text = Reader(run / "report.html").text
    assert "--model mini" in text
    assert "It takes what is not in this page" not in text


@pytest.mark.parametrize(
    "words",
    [
        ("generate",),
        ("a b", "c'd", 'e"f', "$HOME", "`ls`", "*", "a\\b", "", "~", "#", "ünï 歌", "-x"),
        ("--lyrics", "one\ntwo 'three'\n"),
        ("!", "&", ";", "|", ">", "(", "a=b", "--out=x y"),
    ],
)
def test_a_shell_reads_a_command_as_it_was_meant(words: Sequence[str]) -> None:
    flags = [(word, "x" * 30) for word in words]
    assert words_of(command(flags)) == [[part for flag in flags for part in flag]]
    assert words_of(f"{command([words])}\n{command([words])}") == [list(words)] * 2


def test_a_run_whose_name_looks_like_a_flag(run: Path, here: Path, jukebox: Jukebox) -> None:
    run = Path(shutil.move(run, here / "-x"))
    jukebox("report", run.resolve())
    assert "--out ./-x" in Reader(run / "report.html").text


@pytest.mark.parametrize(
    ("samples", "rate", "text"),
    [
        (44100, 22050, "2"),
        (132300, 22050, "6"),
        (4000, 8000, "0.5"),
        (2**40, 8000, "137438953.472"),
    ],
)
def test_seconds_as_short_as_can_be(samples: int, rate: int, text: str) -> None:
    assert seconds_text(samples, rate) == text


@pytest.mark.parametrize("samples", [1, 2, 12345, 22051, 10**6 + 1, 10**9 + 7])
def test_seconds_that_are_exactly_so_many_samples(samples: int) -> None:
    for rate in (8000, 22050, 44100):
        text = seconds_text(samples, rate)
        assert re.fullmatch(r"\d+(\.\d+)?", text)
        assert round(float(text) * rate) == samples


@pytest.mark.parametrize(
    ("items", "text"),
    [([0], "0"), ([0, 1, 2], "0-2"), ([3], "3"), ([1, 2, 3, 7, 9, 10], "1-3,7,9-10")],
)
def test_items_as_only_takes_them(items: list[int], text: str) -> None:
    from jukebox_cli.sampling.items import parse_number_list

    assert items_text(items) == text
    assert parse_number_list(text) == tuple(items)


def write_band(path: Path) -> None:
    """Two pianos, one of them with a pedal, and drums; at a tempo that no tick of ours divides."""
    band = pretty_midi.PrettyMIDI(resolution=97, initial_tempo=133.7)
    for program, drum, name in ((0, False, "left"), (0, False, "r\u00efght"), (0, True, "kit")):
        part = pretty_midi.Instrument(program, drum, name)
        part.notes = [
            pretty_midi.Note(60 + n, 35 + n % 3, 0.31 * n, 0.31 * n + 0.3) for n in range(9)
        ]
        band.instruments.append(part)
    band.instruments[0].control_changes = [pretty_midi.ControlChange(64, 100, 0.5)]
    band.write(str(path))


LRC = "[00:01.50]We sing\n[00:03.250]<00:03.250>all <00:04.000>night\n[Chorus]\n[01:02.003]hold on"


@pytest.mark.parametrize(
    "said",
    [
        {"artist": "Ada 'Vale' & co"},
        {"genre": "rock, hard bop"},
        {"total": 90.5},
        {"lyrics": "la la"},
        {"lyrics": "one\n\ntwo"},
        {"lyrics": "[Verse]\none\n\n[Chorus]\ntwo\nthree\n\n[Verse]\n[Chorus]\n"},
        {"lyrics": "[Intro]\n\n[Verse]\none"},
        {"lyrics": LRC},
        {"lyrics": "[00:10.00]one\n[00:12.00]\n[00:20.00]two\n[00:21.50]three"},
        {"lyrics": "[00:10.00]one\n[Bridge]\n[00:20.00]two\n[00:21.50]three\n[00:59.9996]"},
        {"lyrics": "song.txt", "artist": "--out"},
        {"midi": "band.mid"},
        {"midi": "band.mid", "midi_transpose": 3, "genre": "rock"},
        {"midi": "band.mid", "midi_program": "drums"},
    ],
)
def test_what_was_said_is_said_again(said: dict[str, Any], here: Path, registry: Registry) -> None:
    """The flags and files of a page are read as what the run has."""
    from jukebox_cli.audio.manifest import read_conditions

    write_band(here / "band.mid")
    if str(said.get("lyrics")).endswith(".txt"):
        Path("song.txt").write_text("these are words\nof a file\n")
    song = json.loads(json.dumps(read_conditions(registry, said, here)))
    words = saying(registry, song)
    for file in words.files:
        Path(file.name).write_bytes(file.data)
    given = {flag.removeprefix("--"): value for flag, value in words.flags}
    assert read_conditions(registry, given, here) == song
    assert words.notes == ()


@pytest.mark.parametrize(
    "row", [{"program": 0}, {"program": 0, "drum": False, "name": "", "notes": [[0, 1, 200, 64]]}]
)
def test_notes_that_make_no_file_are_named(row: dict[str, Any], registry: Registry) -> None:
    words = saying(registry, {"midi": [row]})
    assert words.flags == (("--midi", "song.mid"),)
    assert words.notes == (
        "What --midi song.mid was read from; the run keeps what was read, but not the file.",
    )


def test_what_no_flag_says(registry: Registry) -> None:
    words = saying(registry, {"swing": {"amount": 0.5}})
    assert words.flags == ()
    assert words.notes == ("What the run has for “swing”; no flag here says it.",)
