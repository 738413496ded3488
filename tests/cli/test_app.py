"""The app: help, errors, exit codes, pipes."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jukebox_cli import __version__
from jukebox_cli.cli import build_app
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from support.command_line import (
    GENERATE,
    LISTENING,
    MAIN,
    SECONDS_OPTION,
    Jukebox,
    Refused,
    run_process,
    stdout_of,
)
from support.results import Result
from support.run_files import tokens


def test_the_version_is_printed(jukebox: Jukebox) -> None:
    assert stdout_of(jukebox("--version")) == f"jukebox {__version__}\n"


HEAVY = ("torch", "numpy", "soundfile", "soxr", "safetensors", "pretty_midi")


SPY = f"""
import sys
from jukebox_cli.cli import main
try:
    main()
finally:
    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "generate --help",
        "continue --help",
        "--version",
        "plugin list",
        "preset list",
        "generate --seconds -1",
    ],
)
def test_help_lists_and_invalid_options_import_no_heavy_modules(words: str) -> None:
    last = run_process(*words.split(), code=SPY).stderr.splitlines()[-1]
    assert last == "[]"


def test_a_pipe_gets_no_control_characters(run: Path) -> None:
    for words in (("upsample", run), ("decode", run, "--level", 9), ("-h",), ("nosuch",)):
        result = run_process(*words)
        assert result.stdout + result.stderr
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", result.stdout + result.stderr)


def test_a_closed_pipe_is_not_an_error() -> None:
    command = [sys.executable, "-c", MAIN, "preset", "show", "mini-recipe"]
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_a_full_disk_at_stdout_is_an_error() -> None:
    command = [sys.executable, "-c", MAIN, "preset", "show", "mini-recipe"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 2
    assert result.stderr == (
        "error: can't write to the standard output: No space left on device\n"
        "\nhint: free some space, or redirect it elsewhere\n"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_messages_that_can_not_be_written_stop_no_work(words: tuple[str, ...], place: Path) -> None:
    command = shlex.join(map(str, [sys.executable, "-c", MAIN, *GENERATE, "--out", "n", *words]))
    result = subprocess.run(
        ["sh", "-c", f"{command} 2>/dev/full"], capture_output=True, check=False
    )
    assert result.returncode == 0, result
    assert result.stdout
    assert (place / "n/audio/item-00.wav").exists()


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error_and_no_file_takes_their_place(
    closed: str, place: Path
) -> None:
    words = ("generate", "--model", "models/tiny", *SECONDS_OPTION, "--out", "new")
    command = shlex.join([sys.executable, "-c", MAIN, *map(str, words)])
    result = subprocess.run(
        ["sh", "-c", f"{command} {closed}"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")
    assert ("wrote new/audio/item-00.wav" in result.stderr) == ("2>" not in closed)
    assert tokens(place / "new", 0) == tokens(place / "run", 0)
    assert {row["event"] for row in read_jsonl(place / "new" / "log.jsonl")} >= {"level"}


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("genrate",), "no such command 'genrate'", "did you mean 'generate'?"),
        (("generate", "--modle", "x"), "no such option: --modle", "did you mean '--model'?"),
        (
            ("generate", "--seed", "x"),
            "--seed must be a whole number",
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
def test_an_invalid_command_line_is_an_error(
    words: tuple[str, ...], error: str, hint: str, refused: Refused
) -> None:
    refused(*words, error=error, hint=hint)


NOT_UTF8 = "o\udcff"  # $'o\xff' in a shell


@pytest.mark.parametrize(
    "words",
    [
        ("tokenize", f"{NOT_UTF8}.wav", "--out", "out"),
        ("tokenize", f"{NOT_UTF8}.wav", "--as", "corpus", "--out", "out"),
        ("continue", "--audio", f"{NOT_UTF8}.wav", "--model", "models/tiny", "--out", "out"),
        ("train", "vqvae", f"{NOT_UTF8}.wav", "--model", "out"),
    ],
)
def test_a_name_that_is_not_utf8_is_an_error(
    words: tuple[str, ...], place: Path, refused: Refused
) -> None:
    shutil.copy(place / "tone.wav", place / f"{NOT_UTF8}.wav")
    error = "not a name in UTF-8: $'o\\xff.wav'"
    refused(*words, error=error, hint="rename that file or folder")


def test_folders_whose_names_are_not_utf8_are_an_error(place: Path, refused: Refused) -> None:
    hint = "rename that file or folder"
    error = "not a name in UTF-8: $'my o\\xff'"
    refused(*GENERATE, "--out", f"my {NOT_UTF8}", error=error, hint=hint)
    shutil.copytree(place / "models/tiny", place / NOT_UTF8)
    shutil.copytree(place / "run", place / f"run-{NOT_UTF8}")
    words = (*SECONDS_OPTION, "--out", "new")
    error = "not a name in UTF-8: $'o\\xff'"
    refused("generate", "--model", NOT_UTF8, *words, error=error, hint=hint)
    error = "not a name in UTF-8: $'run-o\\xff'"
    for command in ("report", "decode", "upsample", "continue"):
        refused(command, f"run-{NOT_UTF8}", error=error, hint=hint)
    refused("run", "show", f"run-{NOT_UTF8}", error=error, hint=hint)


def test_a_name_in_a_text_that_is_not_utf8_is_an_error(
    place: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(*words: object) -> None:
        f'{{"path": "a/{NOT_UTF8}.wav"}}'.encode()

    monkeypatch.setattr("jukebox_cli.sampling.checks.validate_job", encode)
    error = "not a name in UTF-8: $'a/o\\xff.wav'"
    refused(*GENERATE, error=error, hint="rename that file or folder")


def test_an_unexpected_exception_is_one_line_and_exit_code_1(
    place: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: object) -> None:
        raise RuntimeError("the sky fell")

    monkeypatch.setattr("jukebox_cli.sampling.checks.validate_job", broken)
    hint = "hint: `jukebox --traceback ...` shows where; please report it\n"
    assert jukebox(*GENERATE) == Result(1, "", f"error: RuntimeError: the sky fell\n\n{hint}")
    with pytest.raises(RuntimeError, match="the sky fell"):
        jukebox("--traceback", *GENERATE)
    with pytest.raises(InputError, match="no model 'nosuch'"):
        jukebox("--traceback", "generate", "--model", "nosuch")


def test_python_m_runs_the_same_program() -> None:
    words = [sys.executable, "-m", "jukebox_cli"]
    version = subprocess.run([*words, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"jukebox {__version__}\n"
    usage = subprocess.run([*words, "decode", "--help"], capture_output=True, text=True, check=True)
    assert "Usage: jukebox decode [OPTIONS] " in usage.stdout
    wrong = subprocess.run([*words, "genrate"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_plugins_load_ends_quietly(number: signal.Signals, code: int) -> None:
    raising = f"""
import os
import jukebox_cli.cli.app as app
app.load_installed = lambda warn: os.kill(os.getpid(), {int(number)})
{MAIN}
"""
    result = run_process(code=LISTENING + raising)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", "")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_command_line_is_parsed_ends_quietly(
    number: signal.Signals, code: int
) -> None:
    raising = f"""
import os
import jukebox_cli.cli.app as app
app.TyperGroup.parse_args = lambda *words: os.kill(os.getpid(), {int(number)})
{MAIN}
"""
    result = run_process(code=LISTENING + raising)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", "")


def test_ctrl_c_while_modules_are_imported_ends_quietly() -> None:
    raising = f"""
import os, sys
class Finder:
    def find_spec(self, name, *more):
        if name == "typer":
            os.kill(os.getpid(), {int(signal.SIGINT)})
sys.meta_path.insert(0, Finder())
{MAIN}
"""
    result = run_process("--version", code=LISTENING + raising)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (
            errno.EIO,
            "the disk may be failing: copy what is on it, and restore that file from a copy",
        ),
        (errno.EMFILE, "close other files, or raise the limit: `ulimit -n 4096`"),
    ],
)
def test_an_error_of_the_disk_is_one_line(
    number: int, hint: str, place: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: Model, level: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Model, "prior_fingerprint", fail)
    result = jukebox(*GENERATE)
    error = f"error: can't use a file: {os.strerror(number)}\n\nhint: {hint}\n"
    assert result == Result(2, "", error)


def test_help_is_readable_in_a_narrow_terminal(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    for words in (["generate"], ["train", "vqvae"]):
        shown = CliRunner().invoke(build_app(registry), [*words, "--help"]).output
        assert "\u2502" not in shown
        assert "  --seed" in shown
