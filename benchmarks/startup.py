"""How long one waits for `jukebox --help`, beside a Python that does nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from main_job import JUKEBOX
from measure import Row, by_turns


def startup(*, rounds: int) -> list[Row]:
    """Two rows, in seconds."""
    tasks: dict[str, Callable[[], float]] = {
        "jukebox --help": partial(_seconds, (*JUKEBOX, "--help")),
        "python -c pass": partial(_seconds, (sys.executable, "-c", "pass")),
    }
    return by_turns(tasks, rounds, "s")


def _seconds(words: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
