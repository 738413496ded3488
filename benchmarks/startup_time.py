"""Duration of `jukebox --help`, compared with starting Python alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from machine import JUKEBOX
from measurements import Row, measure_in_turns


def startup_time(*, rounds: int) -> list[Row]:
    """Seconds of both commands."""
    tasks: dict[str, Callable[[], float]] = {
        "jukebox --help": partial(_seconds, (*JUKEBOX, "--help")),
        "python -c pass": partial(_seconds, (sys.executable, "-c", "pass")),
    }
    return measure_in_turns(tasks, rounds, "s")


def _seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
