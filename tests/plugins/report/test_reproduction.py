"""The commands that the page shows reproduce the run."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from jukebox_plugins.report.reproduction import (
    format_command,
    format_number_list,
    format_seconds_exactly,
)

from jukebox_cli.api import CommandOptions
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import ItemSpec
from support.report_pages import Reader, change_conditions
from support.results import Result
from support.run_files import all_tokens, without_checksum, write_chord

Jukebox = Callable[..., Result]
Reproduced = Callable[..., str]


def commands_in(script: str) -> list[list[str]]:
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


def segments(run: Path) -> dict[int, ItemSpec]:
    """The segments of each item, without the runs that they were copied from."""
    specs = Run(run).read_items(Run(run).items())
    return {
        item: replace(spec, segments=tuple(replace(s, parent=None) for s in spec.segments))
        for item, spec in specs.items()
    }


@pytest.fixture
def reproduced(
    here: Path, jukebox: Jukebox, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> Reproduced:
    """Runs the commands of a report in a folder with only the model, the files that the page offers
    and some more; checks that they make the same run, and returns the text of the page."""

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
        for words in commands_in(page.inside_of("commands")):
            result = jukebox(*words)
            assert result.code == 0, result.err
        assert all_tokens(again / run.name) == all_tokens(run)
        assert segments(again / run.name) == segments(run)
        assert Run(again / run.name).config.sampling == Run(run).config.sampling
        return page.text

    return check


def test_a_generated_run(run: Path, reproduced: Reproduced) -> None:
    text = reproduced(run)
    assert (
        "jukebox generate --model tiny --seconds 0.5 --items 2 --seed 7 \\ "
        "--artist 'Ada Vale' --genre rock,jazz --out song"
    ) in text
    assert "The model “tiny”, of fingerprint" in text
    assert "in models/tiny, or name its folder with --model." in text


def test_sampler_options_of_all_levels(
    here: Path, jukebox: Jukebox, tiny: Model, reproduced: Reproduced
) -> None:
    options = ("--temperature", 0.8, "--top-k", 20, "--items", 6, "--only", "2,4-5")
    text = reproduced(generate(jukebox, tiny, *options))
    assert "--items 6 --only 2,4-5 --seed 0 \\ --temperature 0.8 --top-k 20 --out song" in text


def test_sampler_options_of_single_levels(
    here: Path, jukebox: Jukebox, tiny: Model, reproduced: Reproduced
) -> None:
    Path("mine.yaml").write_text(
        "format: 2\n"
        "sampling:\n"
        "  hop_fraction: [0.5, 0.25, 0.75]\n"
        "  options: [{temperature: 0.5}, {}, {top_k: 9}]\n"
    )
    text = reproduced(generate(jukebox, tiny, "--preset", "mine.yaml"))
    assert "sampling.yaml, which the command reads format: 2 sampling: hop_fraction:" in text


def test_a_run_of_the_top_level(
    here: Path, jukebox: Jukebox, tiny: Model, reproduced: Reproduced
) -> None:
    assert "--until top" in reproduced(generate(jukebox, tiny, "--until", "top"))


@pytest.mark.slow
def test_items_continued_apart_with_several_seeds_and_conditions(
    here: Path, jukebox: Jukebox, tiny: Model, reproduced: Reproduced
) -> None:
    run = generate(jukebox, tiny, "--items", 2, "--seed", 4, "--artist", "Ada Vale")
    for options in (
        ("--seconds", 0.1),
        ("--seconds", 0.123, "--only", 1, "--seed", 9, "--genre", "jazz"),
        ("--seconds", 0.05, "--seed", 5),
        ("--seconds", 0.05, "--only", 0, "--artist", "Bo Marsh", "--genre", "rock"),
    ):
        result = jukebox("continue", run, *options, "--quiet")
        assert result.code == 0, result.err
    text = reproduced(run).replace("\\ ", "")
    assert "generate --model tiny --seconds 0.2 --items 2 --seed 4 --artist 'Ada Vale'" in text
    for command in (
        "jukebox continue song --seconds 0.1 jukebox",
        "jukebox continue song --seconds 0.05 --only 0 --seed 5 jukebox",
        "jukebox continue song --seconds 0.123 --only 1 --seed 9 --genre jazz jukebox",
        "jukebox continue song --seconds 0.05 --only 0 --artist 'Bo Marsh' --genre rock jukebox",
        "jukebox continue song --seconds 0.05 --only 1 --seed 5",
    ):
        assert command in text


def test_a_copy_that_was_continued(
    here: Path, jukebox: Jukebox, tiny: Model, reproduced: Reproduced
) -> None:
    first = generate(jukebox, tiny)
    copied = ("continue", first, "--seconds", 0.1, "--seed", 9, "--out", "copy", "--quiet")
    assert jukebox(*copied).code == 0
    assert "jukebox continue copy --seconds 0.1 --seed 9" in reproduced(here / "copy")


def test_a_continued_recording(
    here: Path, jukebox: Jukebox, tiny: Model, reproduced: Reproduced
) -> None:
    riff = write_chord(here / "my riff.wav", 0.3)
    words = ("--audio", riff, "--model", tiny.path, "--seconds", 0.2, "--seed", 3)
    jukebox("continue", *words, "--out", "song")
    jukebox("continue", "song", "--seconds", 0.1)
    text = reproduced(Path("song").resolve(), riff)
    assert "jukebox continue --audio 'my riff.wav' --prime 0.3 --model tiny --seconds 0.2" in text
    prompt = Run(here / "song").item(0).prompt
    assert prompt
    assert f"The recording “my riff.wav”; its hash is {prompt.audio_hash}." in text
    assert f"hash of my riff.wav {prompt.audio_hash}" in text


def test_the_beginning_of_a_recording(
    here: Path, jukebox: Jukebox, tiny: Model, reproduced: Reproduced
) -> None:
    riff = write_chord(here / "riff.wav", 0.5)
    words = ("--audio", riff, "--prime", 0.25, "--model", tiny.path, "--seconds", 0.1)
    assert jukebox("continue", *words, "--items", 2, "--out", "song", "--quiet").code == 0
    text = reproduced(Path("song").resolve(), riff)
    assert "--prime 0.25 --model tiny --seconds 0.1 \\ --items 2 --seed 0" in text


def test_a_recording_that_is_cut_within_a_token(
    here: Path, jukebox: Jukebox, tiny: Model, reproduced: Reproduced
) -> None:
    riff = write_chord(here / "riff.wav", 0.5)
    words = ("--audio", riff, "--prime", 0.2519, "--model", tiny.path, "--seconds", 0.1)
    assert jukebox("continue", *words, "--out", "song", "--quiet").code == 0
    assert "--prime 0.25 --model tiny" in reproduced(Path("song").resolve(), riff)


def test_tokenized_recordings(here: Path, jukebox: Jukebox, tiny: Model) -> None:
    files = [write_chord(here / name, 0.1) for name in ("a.wav", "b.wav")]
    jukebox("tokenize", *files, "--model", tiny.path, "--out", "recorded")
    jukebox("report", "recorded")
    text = Reader(Path("recorded/report.html")).text
    assert "jukebox tokenize recording-0.wav recording-1.wav --model tiny --as run \\" in text
    assert "The recordings that were turned into tokens, whatever their names." in text
    assert "manifest" not in text
    jukebox("continue", "recorded", "--seconds", 0.1, "--genre", "jazz")
    jukebox("report", "recorded")
    text = Reader(Path("recorded/report.html")).text
    assert "jukebox continue recorded --seconds 0.1 --genre jazz" in text


def test_without_the_model_a_preset_states_the_sampling(run: Path, jukebox: Jukebox) -> None:
    config = without_checksum((run / "run.yaml").read_text())
    (run / "run.yaml").write_text(re.sub("^model: .*$", "model: /gone/tiny", config, flags=re.M))
    jukebox("report", run, "--levels", 0)
    page = Reader(run / "report.html")
    assert "jukebox generate --model tiny --seconds 0.5" in page.text
    assert "--preset sampling.yaml" in page.text
    assert page.text_of("sampling.yaml").startswith(
        "format: 2\nsampling:\n  hop_fraction:\n  - 0.5\n"
    )
    assert "/gone" not in page.text


def test_a_built_in_model_needs_no_note(run: Path, jukebox: Jukebox) -> None:
    config = without_checksum((run / "run.yaml").read_text())
    (run / "run.yaml").write_text(re.sub("^model: .*$", "model: mini", config, flags=re.M))
    jukebox("report", run, "--levels", 0)
    text = Reader(run / "report.html").text
    assert "--model mini" in text
    assert "It needs what is not in this page" not in text


def test_values_that_no_option_expresses_have_a_note(run: Path, jukebox: Jukebox) -> None:
    change_conditions(run, swing={"amount": 0.5})
    jukebox("report", run, "--levels", 2)
    text = Reader(run / "report.html").text
    assert "The value of “swing”: no option gives it." in text
    assert "swing amount: 0.5" in text


def test_files_are_offered(run: Path, jukebox: Jukebox) -> None:
    change_conditions(run, lyrics="one\ntwo 'three'", lyrics_times=[], lyrics_sections=[])
    jukebox("report", run, "--levels", 2)
    page = Reader(run / "report.html")
    assert page.text_of("lyrics.txt") == "one\ntwo 'three'"
    assert "--lyrics lyrics.txt" in page.text


@pytest.mark.parametrize(
    "words",
    [
        ("generate",),
        ("a b", "c'd", 'e"f', "$HOME", "`ls`", "*", "a\\b", "", "~", "#", "ünï 歌", "-x"),
        ("--lyrics", "one\ntwo 'three'\n"),
        ("!", "&", ";", "|", ">", "(", "a=b", "--out=x y"),
    ],
)
def test_commands_are_quoted_for_a_shell(words: Sequence[str]) -> None:
    options = CommandOptions(tuple((word, "x" * 30) for word in words))
    command = format_command(words, options)
    expected = [*words, *(part for option in options.options for part in option)]
    assert commands_in(command) == [expected]
    assert commands_in(f"{command}\n{command}") == [expected] * 2


def test_a_run_whose_name_looks_like_an_option(run: Path, here: Path, jukebox: Jukebox) -> None:
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
def test_seconds_are_as_short_as_possible(samples: int, rate: int, text: str) -> None:
    assert format_seconds_exactly(samples, rate) == text


@pytest.mark.parametrize("samples", [1, 2, 12345, 22051, 10**6 + 1, 10**9 + 7])
def test_seconds_are_exactly_so_many_samples(samples: int) -> None:
    for rate in (8000, 22050, 44100):
        text = format_seconds_exactly(samples, rate)
        assert re.fullmatch(r"\d+(\.\d+)?", text)
        assert round(float(text) * rate) == samples


@pytest.mark.parametrize(
    ("items", "text"),
    [([0], "0"), ([0, 1, 2], "0-2"), ([3], "3"), ([1, 2, 3, 7, 9, 10], "1-3,7,9-10")],
)
def test_numbers_are_listed_as_only_takes_them(items: list[int], text: str) -> None:
    from jukebox_cli.sampling.items import parse_number_list

    assert format_number_list(items) == text
    assert parse_number_list(text) == tuple(items)


def test_slices_are_reproduced(jukebox: Jukebox, tiny: Model, reproduced: Reproduced) -> None:
    run = generate(jukebox, tiny, "--parallel", 3, "--seed", 2)
    assert "--seed 2 --parallel 3 --out song" in " ".join(reproduced(run).split())
