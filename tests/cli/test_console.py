"""Progress, messages and results."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import typer

from jukebox_cli.cli.console import (
    exit_code,
    print_result,
    print_warnings_once,
    progress,
)
from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.interfaces.signals import Terminated
from jukebox_cli.sampling.stages import Stage
from jukebox_cli.storage.model import Model
from support.command_line import SECONDS, Jukebox, stdout_of
from support.results import Result
from support.tiny_model import TINY


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr is taken for a terminal with colours."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("FORCE_COLOR", "1")


def drawn_bar(capsys: pytest.CaptureFixture[str]) -> str:
    with progress(False) as bar:
        tick = bar("level 2", 10, 100)
        for _ in range(3):
            tick(30)
    return capsys.readouterr().err


COLOUR = re.compile(r"\x1b\[[\d;]*\b(3\d|9\d)\b[\d;]*m")


def test_a_terminal_gets_a_bar_with_speed_and_time(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = drawn_bar(capsys)
    assert COLOUR.search(text)
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)
    assert re.search(r"level 2 .*100% [\d,]+ tokens/s \d:\d\d:\d\d", plain)


def test_a_terminal_gets_the_time_left_for_the_whole_job(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress(False, stages=[Stage("decode 0", 125_000, 1000.0)]):
        pass
    assert "time left: 2 min 5 s" in capsys.readouterr().err


def test_no_color_is_respected(
    terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(drawn_bar(capsys))


def test_stdout_has_the_run_and_stderr_the_progress(
    tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = jukebox("generate", "--model", tiny.path, "--seconds", SECONDS, "--out", out)
    assert result == Result(
        0,
        f"{out}\n",
        "level 2: 25 tokens\nlevel 1: 50 tokens\nlevel 0: 100 tokens\ndecode 0: 400 samples\n"
        f"wrote {out}/audio/item-00.wav\n",
    )


@pytest.mark.parametrize(("unit", "one"), [("items", "1 item"), ("steps", "1 step")])
def test_one_is_singular(unit: str, one: str, capsys: pytest.CaptureFixture[str]) -> None:
    with progress(False, unit) as bar:
        bar("align", 0, 1)
        bar("align", 0, 2000)
        bar("decode 0", 0, 1)
    err = capsys.readouterr().err
    assert err == f"align: {one}\nalign: 2,000 {unit}\ndecode 0: 1 sample\n"


def test_existing_tokens_are_reported(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("continue", run, "--seconds", SECONDS, "--until", "top")
    assert result.err == "level 2: 50 tokens, 25 already done\n"


def test_quiet_prints_nothing_to_stderr(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    (tmp_path / "shape.yaml").write_text(TINY)
    run, words = tmp_path / "run", ("--model", tiny.path, "--seconds", SECONDS)
    shape = ("--preset", tmp_path / "shape.yaml", "--crop", 0.1, "--steps", 1, "--batch", 1)
    for command in (
        ("generate", *words, "--out", run),
        ("continue", run, "--seconds", SECONDS),
        ("upsample", run),
        ("decode", run, "--level", 1),
        ("continue", "--audio", tone, "--prime", 0.1, *words, "--out", tmp_path / "primed"),
        ("tokenize", tone, "--model", tiny.path, "--out", tmp_path / "encoded"),
        ("train", "vqvae", tone, "--model", tmp_path / "model", "--level", 2, *shape),
    ):
        result = jukebox(*command, "--quiet")
        stdout_of(result)
        assert result.err == ""


def test_a_result_is_json_or_text_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_result({"run": "rûns/x"}, "runs/x", as_json=True)
    print_result({"run": "runs/x"}, "runs/x", as_json=False)
    print_result({"runs": []}, "", as_json=False)
    assert capsys.readouterr() == ('{"run": "rûns/x"}\nruns/x\n', "")


def test_exit_codes_tell_signals_apart() -> None:
    assert [exit_code(error()) for error in (KeyboardInterrupt, typer.Abort, Terminated)] == [
        130,
        130,
        143,
    ]


def test_a_warning_is_one_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    with print_warnings_once():
        for _ in range(2):
            warnings.warn(InputWarning("a letter is left out"), stacklevel=1)
    assert capsys.readouterr() == ("", "warning: a letter is left out\n")
