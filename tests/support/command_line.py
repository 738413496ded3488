"""The command line in tests: as a function, as a process, and interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from safetensors.numpy import save_file

from jukebox_cli.model import codec
from jukebox_cli.sampling import sampler
from support.results import Result

Jukebox = Callable[..., Result]

SECONDS = 0.05  # 400 samples: 25, 50 and 100 tokens
SECONDS_OPTION = ("--seconds", SECONDS)


MAIN = "from jukebox_cli.cli import main; main()"


def stdout_of(result: Result) -> str:
    """The output of a command, which must succeed."""
    assert result.code == 0, result.err
    return result.out


def stop_at(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, calls: int) -> None:
    """Makes a function raise KeyboardInterrupt after `calls` calls, once."""
    real, count = getattr(module, name), iter(range(calls))

    def stopping(*words: Any, **more: Any) -> Any:
        if next(count, None) is None:
            monkeypatch.setattr(module, name, real)
            raise KeyboardInterrupt
        return real(*words, **more)

    monkeypatch.setattr(module, name, stopping)


#: Where commands are interrupted: while blocks of positions are sampled, and while decoding.
STOPS = [
    (sampler.WindowSampler, "_sample", 1),
    (sampler.WindowSampler, "_sample", 2),
    (sampler.WindowSampler, "_sample", 5),
    (codec, "decode", 0),
]


def run_process(*words: object, code: str = MAIN, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


#: A process that a shell starts in the background ignores SIGINT.
LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "


def start_process(*words: object) -> subprocess.Popen[str]:
    """Starts a command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", LISTENING + MAIN, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


class Refused(Protocol):
    """Runs a command that must be refused with exactly this error, and change no file."""

    def __call__(self, *words: object, error: str, hint: str) -> None: ...


GENERATE = ("generate", "--model", "tiny", *SECONDS_OPTION, "--out", "out")


def truncate(path: Path) -> None:
    """Cuts off the end of a file."""
    path.write_bytes(path.read_bytes()[:-10])


def corrupt(path: Path) -> None:
    """Overwrites a file with bytes that are not a safetensors file."""
    path.write_bytes(b"x" * 500)


def with_tokens(array: np.ndarray) -> Callable[[Path], None]:
    """A function that overwrites a token file with an array."""
    metadata = {"format": "2", "vocab_size": "64", "checksum": ""}
    return lambda path: save_file({"tokens": array}, path, metadata)


DELETE_COMMAND = "delete that file and run `jukebox upsample` or `jukebox generate` again"


DELETE_HINT = f"restore it from a copy; or {DELETE_COMMAND}"


FULL_DISK_HINT = "hint: free some space and run the same command again to resume\n"


def partial_files(folder: Path) -> list[Path]:
    """Files that were not written completely."""
    return list(folder.rglob("*.part"))
