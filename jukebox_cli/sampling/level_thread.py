"""A thread that samples a level while the levels above are sampled by others.

For the native engine, which leaves the interpreter to other threads while it computes.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Event, Thread

from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.worker import POLL_SECONDS
from jukebox_cli.storage.run import Run


class _Stopped(Exception):
    """The level is not wanted any more; what is sampled is saved."""


class LevelThread:
    """Samples one level of a job in a thread."""

    def __init__(self, job: Job, level: int) -> None:
        self.level, self.start_progress = level, job.progress
        self.failure: BaseException | None = None
        self.stopping = Event()
        self.job = replace(
            job,
            run=Run(job.run.path),  # whose record of files is of one thread
            progress=self._progress,
            wait_for_upper=self._wait_for_upper,
        )
        self.thread = Thread(target=self._sample, name=f"level {level}", daemon=True)
        self.thread.start()

    def finish(self) -> None:
        """Waits until the level is complete. Raises what went wrong there."""
        self.thread.join()
        if self.failure:
            raise self.failure

    def stop(self) -> None:
        """Ends the thread, which writes what it has sampled."""
        self.stopping.set()
        self.thread.join()

    def _sample(self) -> None:
        try:
            sample_level(self.job, self.level)
        except _Stopped:
            pass
        except BaseException as failure:  # raised where the levels are awaited
            self.failure = failure

    def _progress(self, description: str, done: int, total: int) -> Advance:
        advance = self.start_progress(description, done, total)

        def advance_unless_stopped(count: int) -> None:
            advance(count)
            self._raise_if_stopped()

        return advance_unless_stopped

    def _wait_for_upper(self) -> None:
        self.stopping.wait(POLL_SECONDS)
        self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self.stopping.is_set():
            raise _Stopped
