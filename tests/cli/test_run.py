"""`jukebox run list`, `jukebox run show`, `jukebox run check` and `jukebox run rm`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.registry import Registry
from jukebox_cli.storage.run import Run
from support.command_line import SECONDS, Jukebox, Refused, stdout_of
from support.results import Result
from support.run_files import contents, flip_bit


@pytest.fixture
def runs(here: Path, jukebox: Jukebox) -> Path:
    """A working folder with runs/sketch (two items, top level only) and runs/song (finished)."""
    make = ("generate", "--seconds", SECONDS, "--quiet", "--out")
    stdout_of(jukebox(*make, "runs/song"))
    stdout_of(jukebox(*make, "runs/sketch", "--items", 2, "--until", "top"))
    (here / "runs" / "notes").mkdir()
    return here


def test_list_has_a_row_for_every_run(runs: Path, jukebox: Jukebox) -> None:
    rows = json.loads(stdout_of(jukebox("run", "list", "--json")))["runs"]
    size = {
        name: sum(len(data) for _, data in contents(Path(name)).values())
        for name in ("runs/sketch", "runs/song")
    }
    assert rows == [
        {
            "run": "runs/sketch",
            "model": "mini",
            "items": [0, 1],
            "seconds": [SECONDS, SECONDS],
            "progress": "level 2",
            "bytes": size["runs/sketch"],
        },
        {
            "run": "runs/song",
            "model": "mini",
            "items": [0],
            "seconds": [SECONDS],
            "progress": "audio",
            "bytes": size["runs/song"],
        },
    ]
    assert stdout_of(jukebox("run", "list")).splitlines() == [
        "runs/sketch  mini  2 items  0.05 s  0.0 MB  level 2",
        "runs/song    mini  1 item   0.05 s  0.0 MB  audio",
    ]
    assert stdout_of(jukebox("run", "list", "runs")) == stdout_of(jukebox("run", "list"))


def test_list_of_a_folder_without_runs_is_empty(runs: Path, jukebox: Jukebox) -> None:
    assert jukebox("run", "list", "runs/notes") == Result(0, "", "")
    assert json.loads(stdout_of(jukebox("run", "list", "models", "--json"))) == {"runs": []}


def test_list_warns_of_a_run_that_is_damaged_and_lists_the_others(
    runs: Path, jukebox: Jukebox
) -> None:
    before = stdout_of(jukebox("run", "list")).splitlines()
    (runs / "runs" / "song" / "run.yaml").write_text("format: 1\n")
    result = jukebox("run", "list")
    assert (result.code, len(result.out.splitlines())) == (0, len(before) - 1)
    (warning,) = result.err.splitlines()
    assert warning.startswith("warning: runs/song/run.yaml")


def test_list_of_no_folder_is_refused(refused: Refused) -> None:
    hint = "make a run with `jukebox generate`"
    refused("run", "list", error="no folder runs", hint=hint)
    refused("run", "list", "nosuch", error="no folder nosuch", hint=hint)


def test_list_marks_unknown_progress(runs: Path, jukebox: Jukebox) -> None:
    shutil.rmtree("models")
    rows = json.loads(stdout_of(jukebox("run", "list", "--json")))["runs"]
    model = Run(Path("runs/song")).config.model
    assert rows[1]["progress"] == f"the model of runs/song is missing: '{model}'"
    assert rows[1]["items"] == [0]


# rm


def test_rm_removes_runs_and_nothing_else(runs: Path, jukebox: Jukebox) -> None:
    before = contents(runs)
    out = stdout_of(jukebox("run", "rm", "runs/song", "runs/sketch", "--yes"))
    assert out == "runs/song\nruns/sketch\n"
    assert [path.name for path in (runs / "runs").iterdir()] == ["notes"]
    assert contents(runs) == {n: d for n, d in before.items() if not n.startswith("runs/")}


@pytest.mark.parametrize(
    ("answer", "is_removed"),
    [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False), ("what\n", False)],
)
def test_rm_asks_for_confirmation(
    answer: str, is_removed: bool, runs: Path, ask: Callable[..., Result]
) -> None:
    result = ask(answer, "run", "rm", "runs/song", "runs/sketch")
    question = "remove runs/song, runs/sketch? [y/N] "
    removed = "runs/song\nruns/sketch\n"
    if is_removed:
        assert result == Result(0, removed, question)
    else:
        assert result == Result(0, "", question + "nothing was removed\n")
    assert (runs / "runs/song").exists() != is_removed


@pytest.fixture
def ask(registry: Registry) -> Callable[..., Result]:
    """Runs a command that reads an answer from stdin."""

    def run(answer: str, *words: str) -> Result:
        result = CliRunner().invoke(build_app(registry), list(words), input=answer)
        return Result(result.exit_code, result.stdout, result.stderr)

    return run


def test_rm_without_an_answer_removes_nothing(runs: Path, jukebox: Jukebox) -> None:
    result = jukebox("run", "rm", "runs/song")
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith(
        "error: no answer on the standard input, so nothing was removed\n\n"
        "hint: add --yes to remove without asking\n"
    )
    assert (runs / "runs/song").exists()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("nosuch", "nosuch does not exist"),
        ("music", "music is not a run: it has no run.yaml"),
        ("tone.wav", "tone.wav is not a run: it has no run.yaml"),
    ],
)
def test_rm_refuses_what_is_not_a_run_before_it_removes_anything(
    name: str, error: str, refused: Refused
) -> None:
    hint = "make one with `jukebox generate --out`"
    refused("run", "rm", "run", name, "--yes", error=error, hint=hint)


def test_rm_refuses_a_link(place: Path, refused: Refused) -> None:
    Path("link").symlink_to("run")
    refused(
        *("run", "rm", "link", "--yes"),
        error="link is a link to a run",
        hint="remove the link, or name the run",
    )


# show


def test_show_prints_the_segments_of_an_item(here: Path, jukebox: Jukebox) -> None:
    words = ("--genre", "rock", "--artist", "ada vale", "--seed", 5, "--top-k", 8)
    stdout_of(jukebox("generate", "--seconds", SECONDS, *words, "--out", "runs/song"))
    assert stdout_of(jukebox("run", "show", "runs/song")) == (
        "runs/song: model mini, 8000 Hz\n"
        "item 0: 0.05 s, audio\n"
        "  0 to 0.05 s: seed 5\n"
        "    artist: ada vale\n"
        "    genre: rock\n"
        "    level 0: hop_fraction 0.5, top_k 8\n"
        "    level 1: hop_fraction 0.5, top_k 8\n"
        "    level 2: hop_fraction 0.5, top_k 8\n"
    )
    details = json.loads(stdout_of(jukebox("run", "show", "runs/song", "--json")))
    assert details["fingerprint"] == Run(Path("runs/song")).config.fingerprint
    [item] = details["items"]
    assert (item["item"], item["seconds"], item["progress"]) == (0, SECONDS, "audio")
    [segment] = item["segments"]
    assert segment["seed"] == 5
    assert segment["conditions"] == {"artist": "ada vale", "genre": ["rock"]}
    assert segment["sampling"] == [{"top_k": 8}] * 3


def test_show_works_without_the_model(runs: Path, jukebox: Jukebox) -> None:
    shutil.rmtree("models")
    text = stdout_of(jukebox("run", "show", "runs/sketch"))
    assert text.startswith("runs/sketch: model mini, 8000 Hz\nitem 0: 0.05 s\n")


def test_show_refuses_what_is_not_a_run(refused: Refused) -> None:
    error, hint = "music is not a run: it has no run.yaml", "make one with `jukebox generate --out`"
    refused("run", "show", "music", error=error, hint=hint)


@pytest.mark.parametrize(
    ("text", "problem"), [("", "it is empty"), ("format: 2\n", "it has no 'model'")]
)
def test_a_damaged_run_is_an_error(text: str, problem: str, place: Path, refused: Refused) -> None:
    (place / "run/run.yaml").write_text(text)
    hint = "restore it from a copy, or make it again"
    for words in (("run", "show", "run"), ("upsample", "run"), ("decode", "run")):
        refused(*words, error=f"run/run.yaml is damaged: {problem}", hint=hint)


@pytest.mark.parametrize(
    ("text", "problem"), [("", "it is empty"), ("format: 2\n", "it has no 'vqvae'")]
)
def test_a_damaged_model_is_an_error(
    text: str, problem: str, place: Path, refused: Refused
) -> None:
    (place / "models/tiny/config.yaml").write_text(text)
    error = f"models/tiny/config.yaml is damaged: {problem}"
    refused("model", "show", "tiny", error=error, hint="restore it from a copy, or make it again")


def test_check_reads_all_files_of_a_run(place: Path, jukebox: Jukebox, refused: Refused) -> None:
    assert stdout_of(jukebox("run", "check", "run")) == "run: 9 files are whole\n"
    data = json.loads(stdout_of(jukebox("run", "check", "run", "--json")))
    assert data == {"run": "run", "files": 9}
    paths = [f"run/tokens/level-{level}/item-00.safetensors" for level in (0, 2)]
    for path in paths:
        flip_bit(Path(path))
    error = "\nerror: ".join(f"{path} is damaged: its checksum does not match" for path in paths)
    hint = "restore it from a copy; or delete it and run the command that made it again"
    refused("run", "check", "run", error=error, hint=hint)
    none = "music is not a run: it has no run.yaml"
    refused("run", "check", "music", error=none, hint="make one with `jukebox generate --out`")
