"""All levels of a run, one after another or side by side, then its audio.

A small prior keeps one core busy and leaves the others idle. So while one level is drawn, the
levels below it are too, each in a process of its own: it follows the level above by what that has
put on disk, a window behind it. Every level draws what it would have drawn alone.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread

from jukebox_cli.sampling.checks import tell_of_other_priors
from jukebox_cli.sampling.decode import decode
from jukebox_cli.sampling.job import Job, Tick
from jukebox_cli.sampling.level import sample

#: Tokens of the lowest level; with fewer, processes take longer to start than they save.
ENOUGH = 10_000


#: What a process that draws a level runs; it imports what this one would, from the same places.
WORKER = "jukebox_cli.sampling.worker"


def finish(job: Job, until: str = "audio") -> None:
    """Top level -> upsamplers -> audio, as far as `until` (top, tokens, audio) says."""
    tell_of_other_priors(job)
    lowest = job.top if until == "top" else 0
    lacking = [level for level in range(job.top, lowest - 1, -1) if job.lacks(level)]
    if pays(job, lacking):
        side_by_side(job, lacking)
    else:
        for level in lacking:
            sample(job, level)
    if until == "audio":
        decode(job)


def pays(job: Job, levels: Sequence[int]) -> bool:
    """Whether levels that lack tokens are better drawn side by side: small ones, on a CPU with
    cores to spare."""
    if len(levels) < 2 or cores() < 2 or _missing(job, levels[-1]) < ENOUGH:
        return False
    if any(job.model.config.priors[level].prefix for level in levels):
        return False  # what they put on disk within a window is not settled
    for level in levels:
        job.model.need(f"prior-{level}")
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import LARGE

    on_cpu = pick_device(job.device).type == "cpu"
    return on_cpu and all(_parameters(job, level) < LARGE for level in levels)


def cores() -> int:
    """How many this process may use; OMP_NUM_THREADS may say fewer."""
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    said = os.environ.get("OMP_NUM_THREADS", "")
    return min(there, int(said)) if said.isdecimal() else there


def _missing(job: Job, level: int) -> int:
    return sum(job.total(level, item) - job.have(level, item) for item in job.items)


def _parameters(job: Job, level: int) -> int:
    from math import prod

    from safetensors import safe_open

    with safe_open(str(job.model.weights(f"prior-{level}")), "np") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def side_by_side(job: Job, levels: Sequence[int]) -> None:
    """Draws what the run's items lack at some levels, from the highest down."""
    first, *below = levels
    followers = [Follower(job, level) for level in below]
    try:
        sample(job, first)
        for follower in followers:
            follower.finish()
    finally:
        for follower in followers:
            follower.stop()


class Follower:
    """The process that draws a level, and what it says while it does."""

    def __init__(self, job: Job, level: int) -> None:
        self.level, self.bar = level, job.bar
        self.failure: Exception | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"},
        )
        self._tell((level, {name: getattr(job, name) for name in _PLAIN}))
        self.listener = Thread(target=self._listen, daemon=True)
        self.listener.start()

    def finish(self) -> None:
        """Waits until the level is whole. Raises what went wrong there."""
        self.listener.join()
        if self.failure:
            raise self.failure
        if code := self.process.wait():
            raise RuntimeError(f"drawing level {self.level} ended with exit code {code}")

    def stop(self) -> None:
        """Ends the process, which puts what it has drawn on disk."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.listener.join()

    def _tell(self, what: object) -> None:
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it ended at once; `finish` says so
            pickle.dump(what, self.process.stdin)
            self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout
        tick: Tick | None = None
        # it may end in the middle of a word
        with suppress(EOFError, pickle.UnpicklingError), self.process.stdout as mouth:
            while True:
                said = pickle.load(mouth)
                if isinstance(said, Exception):
                    self.failure = said
                elif tick is None:
                    tick = self.bar(*said)
                else:
                    tick(said)


#: What of a job another process can be handed; it finds the plugins anew.
_PLAIN = ("run", "model", "items", "config", "asked", "device", "precision", "batch")
