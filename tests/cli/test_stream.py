"""`--stream`: nothing but audio on stdout, the samples of the run's file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_cli.storage.model import Model
from support.command_line import GENERATE, LISTENING, MAIN, Jukebox, Refused, run_process
from support.run_files import all_tokens

RATE = 8000
WORDS = ("--seconds", 2, "--seed", 3)


def start(*words: object, **more: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", LISTENING + MAIN, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, **more)  # type: ignore[call-overload]


@pytest.fixture
def generate(tiny: Model) -> tuple[object, ...]:
    return ("generate", "--model", tiny.path, *WORDS)


@pytest.mark.parametrize("stream", ["pcm", "wav"])
def test_stdout_has_the_samples_of_the_file(
    stream: str, generate: tuple[object, ...], tmp_path: Path
) -> None:
    output, errors = start(*generate, "--stream", stream, "--out", tmp_path / "run").communicate()
    path = tmp_path / "run/audio/item-00.wav"
    samples = soundfile.read(path, dtype="int16")[0]
    assert len(samples) == 2 * RATE, errors
    if stream == "wav":
        assert output == path.read_bytes()
    else:
        assert np.array_equal(np.frombuffer(output, "<i2"), samples)
    assert f"wrote {path}" in errors.decode()
    plain = run_process(*generate, "--out", tmp_path / "plain")
    assert plain.returncode == 0, plain.stderr
    assert all_tokens(tmp_path / "plain") == all_tokens(tmp_path / "run")
    assert (tmp_path / "plain/audio/item-00.wav").read_bytes() == path.read_bytes()


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
@pytest.mark.parametrize(
    ("stream", "options"),
    [("pcm", ("-f", "s16le", "-ar", RATE, "-ac", 1)), ("wav", ("-f", "wav"))],
)
def test_ffmpeg_reads_a_stream(
    stream: str, options: tuple[object, ...], generate: tuple[object, ...], tmp_path: Path
) -> None:
    run = start(*generate, "--stream", stream, "--out", tmp_path / "run")
    heard = tmp_path / "heard.wav"
    command = ["ffmpeg", "-v", "error", *map(str, options), "-i", "-", str(heard)]
    with run:
        done = subprocess.run(command, stdin=run.stdout, capture_output=True, check=False)
    assert (run.returncode, done.returncode, done.stderr) == (0, 0, b"")
    found, expected = (
        soundfile.read(path, dtype="int16")[0]
        for path in (heard, tmp_path / "run/audio/item-00.wav")
    )
    assert np.array_equal(found, expected)


@pytest.mark.slow
def test_a_run_and_its_continuation_are_streamed_from_the_beginning(
    generate: tuple[object, ...], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert run_process(*generate, "--until", "top", "--out", run).returncode == 0
    for words in (("upsample", run), ("continue", run, "--seconds", 1)):
        output, errors = start(*words, "--stream", "pcm").communicate()
        samples = soundfile.read(run / "audio/item-00.wav", dtype="int16")[0]
        assert np.array_equal(np.frombuffer(output, "<i2"), samples), errors
    assert len(samples) == 3 * RATE


@pytest.mark.slow
def test_a_player_that_is_closed_stops_the_run(
    generate: tuple[object, ...], tmp_path: Path
) -> None:
    words = (*generate, "--seconds", 20, "--stream", "pcm", "--out", tmp_path / "run")
    with start(*words) as process:
        assert process.stdout
        assert process.stderr
        assert os.read(process.stdout.fileno(), 100)
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert process.returncode == 130
    assert errors.endswith("\nstopped; run the same command again to resume\n")
    assert all_tokens(tmp_path / "run")
    output, errors_again = start(*words).communicate()
    samples = soundfile.read(tmp_path / "run/audio/item-00.wav", dtype="int16")[0]
    assert np.array_equal(np.frombuffer(output, "<i2"), samples)
    assert b"already done" in errors_again


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            ("--stream", "pcm", "--items", 2),
            "--stream plays one item, not 2",
            "choose one, such as --only 0, and make the others without --stream",
        ),
        (
            ("--stream", "wav", "--json"),
            "--stream and --json both write to stdout",
            "leave out one of them",
        ),
        (
            ("--stream", "wav", "--until", "tokens"),
            "--stream writes audio, but --until tokens stops before there is any",
            "leave out one of them",
        ),
    ],
)
def test_streams_that_cannot_be(
    words: tuple[object, ...], error: str, hint: str, refused: Refused
) -> None:
    refused(*GENERATE, *words, error=error, hint=hint)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_gets_no_audio(generate: tuple[object, ...], tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", MAIN, *map(str, generate), "--stream", "wav"]
    run = tmp_path / "run"
    done = subprocess.run(
        [*command, "--out", str(run)], stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, done.stderr.decode()) == (
        2,
        "error: --stream does not write to a terminal\n\nhint: add a player: `| ffplay -`\n",
    )
    assert not run.exists()


def test_one_item_of_several(jukebox: Jukebox, tiny: Model, tmp_path: Path) -> None:
    words = ("--items", 3, "--only", 2, "--stream", "wav", "--seconds", 0.05)
    result = jukebox("generate", "--model", tiny.path, *words, "--out", tmp_path / "run")
    assert result.code == 0
    assert [path.name for path in (tmp_path / "run/audio").iterdir()] == ["item-02.wav"]
