"""A process that samples a level while the levels above are sampled by others.

For the torch engine, whose many small operations need the interpreter all the time: threads would
wait for each other. The process runs `worker`.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from threading import Thread

from jukebox_cli.interfaces.signals import blocked_signals
from jukebox_cli.sampling.job import Advance, Job, no_progress
from jukebox_cli.sampling.messages import (
    LevelFailed,
    LevelTask,
    ProgressAdvanced,
    ProgressStarted,
)

#: The module that a worker process runs.
WORKER = "jukebox_cli.sampling.worker"


class LevelProcess:
    """A process that samples one level, and the thread that receives its messages."""

    def __init__(self, job: Job, level: int) -> None:
        self.level, self.progress = level, job.progress
        self.failure: Exception | None = None
        # it imports what this process would, from the same places
        paths = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
        with blocked_signals():  # until it handles them
            self.process = subprocess.Popen(
                [sys.executable, "-m", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **paths},
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
