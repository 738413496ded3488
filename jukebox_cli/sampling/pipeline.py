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

from jukebox_cli.sampling.checks import warn_if_drawn_with_other_weights
from jukebox_cli.sampling.decode import decode_items
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level

#: Tokens of the lowest level; with fewer, processes take longer to start than they save.
MIN_PARALLEL_TOKENS = 10_000


#: What a process that draws a level runs; it imports what this one would, from the same places.
WORKER = "jukebox_cli.sampling.worker"


def complete_run(job: Job, until: str = "audio") -> None:
    """Top level -> upsamplers -> audio, as far as `until` (top, tokens, audio) says."""
    warn_if_drawn_with_other_weights(job)
    lowest = job.top_level if until == "top" else 0
    lacking = [
        level for level in range(job.top_level, lowest - 1, -1) if job.incomplete_items(level)
    ]
    if parallel_levels_pay(job, lacking):
        sample_levels_in_parallel(job, lacking)
    else:
        for level in lacking:
            sample_level(job, level)
    if until == "audio":
        decode_items(job)


def parallel_levels_pay(job: Job, levels: Sequence[int]) -> bool:
    """Whether levels that lack tokens are better drawn side by side: small ones, on a CPU with
    cores to spare."""
    if (
        len(levels) < 2
        or available_cores() < 2
        or _missing_tokens(job, levels[-1]) < MIN_PARALLEL_TOKENS
    ):
        return False
    if any(job.model.config.priors[level].prefix_length for level in levels):
        return False  # what they put on disk within a window is not settled
    for level in levels:
        job.model.require_weights(f"prior-{level}")
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import LARGE_PARAMETERS

    on_cpu = pick_device(job.device).type == "cpu"
    return on_cpu and all(_num_parameters(job, level) < LARGE_PARAMETERS for level in levels)


def available_cores() -> int:
    """How many this process may use; OMP_NUM_THREADS may say fewer."""
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    said = os.environ.get("OMP_NUM_THREADS", "")
    return min(there, int(said)) if said.isdecimal() else there


def _missing_tokens(job: Job, level: int) -> int:
    return sum(
        job.num_tokens(level, item) - job.num_sampled_tokens(level, item) for item in job.items
    )


def _num_parameters(job: Job, level: int) -> int:
    from math import prod

    from safetensors import safe_open

    with safe_open(str(job.model.weights(f"prior-{level}")), "np") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def sample_levels_in_parallel(job: Job, levels: Sequence[int]) -> None:
    """Draws what the run's items lack at some levels, from the highest down."""
    first, *below = levels
    followers = [LevelWorker(job, level) for level in below]
    try:
        sample_level(job, first)
        for follower in followers:
            follower.finish()
    finally:
        for follower in followers:
            follower.stop()


class LevelWorker:
    """The process that draws a level, and what it says while it does."""

    def __init__(self, job: Job, level: int) -> None:
        self.level, self.progress = level, job.progress
        self.failure: Exception | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"},
        )
        self._send((level, {name: getattr(job, name) for name in _PICKLED_FIELDS}))
        self.receiver = Thread(target=self._receive, daemon=True)
        self.receiver.start()

    def finish(self) -> None:
        """Waits until the level is whole. Raises what went wrong there."""
        self.receiver.join()
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
        self.receiver.join()

    def _send(self, what: object) -> None:
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it ended at once; `finish` says so
            pickle.dump(what, self.process.stdin)
            self.process.stdin.flush()

    def _receive(self) -> None:
        assert self.process.stdout
        tick: Advance | None = None
        # it may end in the middle of a word
        with suppress(EOFError, pickle.UnpicklingError), self.process.stdout as mouth:
            while True:
                said = pickle.load(mouth)
                if isinstance(said, Exception):
                    self.failure = said
                elif tick is None:
                    tick = self.progress(*said)
                else:
                    tick(said)


#: What of a job another process can be handed; it finds the plugins anew.
_PICKLED_FIELDS = ("run", "model", "items", "config", "specs", "device", "precision", "batch_size")
