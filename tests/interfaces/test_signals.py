"""Signals end a command with their exit code and without a traceback, at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jukebox_cli.interfaces.signals import END_SIGNALS, Terminated, blocked_signals
from jukebox_cli.storage.model import Model
from support.run_files import write_chord

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143}
#: Says when the interpreter itself has started: until then, Python shows SIGINT as it likes.
SCRIPT = "import os; os.write(1, b'!'); from jukebox_cli.cli import main; main()"
#: A process in the background or under `nohup` ignores some of them.
IN_COMMAND = """
import signal
for name in ("SIGINT", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.default_int_handler)
from jukebox_cli.interfaces.signals import handle_signals, running_command
handle_signals()
with running_command():
    try:
        {action}
    except Exception:
        raise ImportError("numpy.core.multiarray failed to import")
"""


def run_until(
    words: list[object], number: signal.Signals, delay: float, whole_group: bool
) -> tuple[int, str]:
    """The exit code and stderr of a command that gets a signal after a delay."""
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )
    assert process.stdout
    assert process.stdout.read(1) == b"!"
    time.sleep(delay)
    if whole_group:  # as a terminal does
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr.decode()


def kill_at_random(place: Path, model: Model, rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    sound = write_chord(place / "a.wav", 0.1)
    for number in range(rounds):
        out = place / f"out-{number}"
        commands: list[list[object]] = [
            ["generate", "--model", model.path, "--seconds", 60, "--out", out],
            ["tokenize", sound, "--model", model.path, "--out", out],
            ["--help"],
        ]
        words = rng.choice(commands)
        sent, delay = rng.choice(list(CODES)), rng.uniform(0.0, 1.5)
        code, stderr = run_until(words, sent, delay, rng.random() < 0.5)
        # after its work is done, the interpreter may end as the system does
        assert code in (CODES[sent], 0, -sent), (words, sent, delay, stderr)
        assert "Traceback" not in stderr, (words, sent, delay, stderr)
        assert "Exception" not in stderr, (words, sent, delay, stderr)


def test_a_signal_at_any_moment_ends_quietly(tiny: Model, tmp_path: Path) -> None:
    kill_at_random(tmp_path, tiny, rounds=5, seed=0)


@pytest.mark.slow
def test_many_signals_at_any_moment_end_quietly(tiny: Model, tmp_path: Path) -> None:
    kill_at_random(tmp_path, tiny, rounds=60, seed=1)


def in_command(action: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", IN_COMMAND.format(action=action)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", END_SIGNALS)
def test_a_signal_is_not_lost_in_another_exception(number: signal.Signals) -> None:
    swallowed = f"""
        import os
        try:
            os.kill(os.getpid(), {int(number)})
        except BaseException as error:
            raise ValueError("a callback") from error
"""
    stderr = in_command(swallowed.strip()).stderr
    expected = "KeyboardInterrupt" if number == signal.SIGINT else Terminated.__name__
    assert expected in stderr.splitlines()[-1]
    assert "numpy.core.multiarray" in in_command("1 / 0").stderr


def test_an_ignored_signal_stays_ignored() -> None:
    code = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from jukebox_cli.interfaces.signals import handle_signals
handle_signals()
os.kill(os.getpid(), signal.SIGHUP)
print("on")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (0, b"on\n")


def test_blocked_signals_wait() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: received.append(number))
    try:
        with blocked_signals():
            signal.raise_signal(signal.SIGHUP)  # to this thread
            assert not received
        assert received == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)
