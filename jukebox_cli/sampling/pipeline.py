"""All levels of a run, one after another or in parallel, then its audio.

A small prior keeps one core busy and leaves the others idle. So while one level is sampled, the
levels below it are too, each in a process of its own, which follows the token files of the level
above a window behind. Every level samples the tokens that it would sample alone.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from threading import Thread

from jukebox_cli.sampling.decode import decode_items
from jukebox_cli.sampling.job import Advance, Job, no_progress
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.messages import (
    LevelFailed,
    LevelTask,
    ProgressAdvanced,
    ProgressStarted,
)
from jukebox_cli.sampling.weights import (
    record_prior_fingerprints,
    warn_if_sampled_with_other_weights,
)

#: Tokens of the lowest level. With fewer, starting processes takes longer than they save.
MIN_PARALLEL_TOKENS = 10_000
#: The module that a worker process runs.
WORKER = "jukebox_cli.sampling.worker"


def complete_run(job: Job, until: str = "audio") -> None:
    """Samples and decodes what the job's items lack, as far as `until` says: the top level (top),
    all levels (tokens), or the audio of the lowest (audio)."""
    warn_if_sampled_with_other_weights(job)
    lowest = job.top_level if until == "top" else 0
    levels = [n for n in range(job.top_level, lowest - 1, -1) if job.incomplete_items(n)]
    job = record_prior_fingerprints(job, levels)
    if parallel_levels_pay(job, levels):
        sample_levels_in_parallel(job, levels)
    else:
        for level in levels:
            sample_level(job, level)
    if until == "audio":
        decode_items(job)


def parallel_levels_pay(job: Job, levels: Sequence[int]) -> bool:
    """Whether incomplete levels are faster sampled in parallel: those of small priors, on a CPU
    with cores to spare."""
    if len(levels) < 2 or available_cores() < 2:
        return False
    num_missing = sum(job.num_missing_tokens(levels[-1], item) for item in job.items)
    if num_missing < MIN_PARALLEL_TOKENS:
        return False
    if any(job.model.config.priors[level].prefix_length for level in levels):
        return False  # the tokens of an incomplete window may still change on disk
    for level in levels:
        job.model.require_weights(f"prior-{level}")
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import LARGE_PARAMETERS

    on_cpu = pick_device(job.device).type == "cpu"
    return on_cpu and all(_num_parameters(job, level) < LARGE_PARAMETERS for level in levels)


def available_cores() -> int:
    """How many cores this process may use; OMP_NUM_THREADS can make it fewer."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() else cores


def _num_parameters(job: Job, level: int) -> int:
    from safetensors import safe_open

    with safe_open(str(job.model.weights(f"prior-{level}")), "np") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def sample_levels_in_parallel(job: Job, levels: Sequence[int]) -> None:
    """Samples what the job's items lack at some levels, the highest first: that one in this
    process, the others each in a worker."""
    highest, *lower = levels
    workers = [LevelWorker(job, level) for level in lower]
    try:
        sample_level(job, highest)
        for worker in workers:
            worker.finish()
    finally:
        for worker in workers:
            worker.stop()


class LevelWorker:
    """A process that samples one level, and the thread that receives its messages."""

    def __init__(self, job: Job, level: int) -> None:
        self.level, self.progress = level, job.progress
        self.failure: Exception | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # it imports what this process would, from the same places
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"},
        )
        self._send(LevelTask.from_job(job, level))
        self.receiver = Thread(target=self._receive, daemon=True)
        self.receiver.start()

    def finish(self) -> None:
        """Waits until the level is complete. Raises what went wrong there."""
        self.receiver.join()
        if self.failure:
            raise self.failure
        if code := self.process.wait():
            raise RuntimeError(f"sampling level {self.level} ended with exit code {code}")

    def stop(self) -> None:
        """Ends the process, which writes what it has sampled."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.receiver.join()

    def _send(self, task: LevelTask) -> None:
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it ended at once; `finish` says so
            pickle.dump(task, self.process.stdin)
            self.process.stdin.flush()

    def _receive(self) -> None:
        assert self.process.stdout
        advance: Advance = no_progress("", 0, 0)
        # the process may end in the middle of a message
        with suppress(EOFError, pickle.UnpicklingError), self.process.stdout as output:
            while True:
                match pickle.load(output):
                    case ProgressStarted(description, done, total):
                        advance = self.progress(description, done, total)
                    case ProgressAdvanced(count):
                        advance(count)
                    case LevelFailed(error):
                        self.failure = error
