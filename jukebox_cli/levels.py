"""All levels of a run, one after another or side by side, then its audio.

A small prior keeps one core busy and leaves the others idle. So while one level is drawn, the
levels below it are too, each in a process of its own: it follows the level above by what that has
put on disk, a window behind it. Every level draws what it would have drawn alone.
"""

from __future__ import annotations

import _thread
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

from jukebox_cli import stages
from jukebox_cli.plugin import InputError, InputWarning
from jukebox_cli.registry import installed
from jukebox_cli.stages import Job, Tick

#: Tokens of the lowest level; with fewer, processes take longer to start than they save.
ENOUGH = 10_000
#: Seconds between looks at what the level above has put on disk.
PATIENCE = 0.05


def finish(job: Job, until: str = "audio") -> None:
    """Top level -> upsamplers -> audio, as far as `until` (top, tokens, audio) says."""
    stages.tell_of_other_priors(job)
    lowest = job.top if until == "top" else 0
    lacking = [level for level in range(job.top, lowest - 1, -1) if job.lacks(level)]
    if pays(job, lacking):
        side_by_side(job, lacking)
    else:
        for level in lacking:
            stages.sample(job, level)
    if until == "audio":
        stages.decode(job)


def pays(job: Job, levels: Sequence[int]) -> bool:
    """Whether levels that lack tokens are better drawn side by side: small ones, on a CPU with
    cores to spare."""
    if len(levels) < 2 or cores() < 2 or _missing(job, levels[-1]) < ENOUGH:
        return False
    if any(job.model.config.priors[level].prefix for level in levels):
        return False  # what they put on disk within a window is not settled
    for level in levels:
        job.model.need(f"prior-{level}")
    from jukebox_cli.loading import LARGE, pick_device

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
        stages.sample(job, first)
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
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import follow; follow()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
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


def follow() -> None:
    """The process: draws the level it is told of while the one above it is drawn.

    It goes on until the level is whole or nobody holds the other end of its input.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who began us is asked, and asks us
    signal.signal(signal.SIGTERM, _stop)
    warnings.simplefilter("ignore", InputWarning)  # who began us has told them
    mouth = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a plugin prints is not for the one who listens
    level, own = pickle.load(sys.stdin.buffer)
    Thread(target=_end_with_input, daemon=True).start()

    def say(what: object) -> None:
        mouth.write(pickle.dumps(what))

    def bar(*said: Any) -> Tick:
        say(said)
        return say

    try:
        try:
            registry = installed(lambda message: None)
            stages.sample(Job(registry=registry, bar=bar, wait=_wait, **own), level)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from here on it ends by itself
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # we are to stop, or nobody listens any more
    except InputError as error:
        say(error)
    except Exception:
        say(RuntimeError(traceback.format_exc()))


def _wait() -> None:
    time.sleep(PATIENCE)


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what is drawn is to be kept
    raise KeyboardInterrupt


def _end_with_input() -> None:
    os.read(0, 1)  # not by way of sys.stdin, whose lock Python wants at its end
    _thread.interrupt_main(signal.SIGTERM)
