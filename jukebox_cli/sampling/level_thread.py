"""A thread that samples a level while the levels above are sampled by others.

For the native engine, which leaves the interpreter to other threads while it computes, and for
streams, whose audio is decoded meanwhile.
"""

from __future__ import annotations

from dataclasses import replace
from threading import Event, Thread

from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.live_tokens import SamplingStopped
from jukebox_cli.storage.run import Run


class LevelThread:
    """Samples one level of a job, which has `live_tokens`, in a thread."""

    def __init__(self, job: Job, level: int) -> None:
        assert job.live_tokens
        self.level, self.start_progress = level, job.progress
        self.failure: BaseException | None = None
        self.stopping = Event()
        self.live_tokens = job.live_tokens
        # the record of files is of one thread
        self.job = replace(job, run=Run(job.run.path), progress=self._progress)
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
        self.live_tokens.stop()
        self.thread.join()

    def _sample(self) -> None:
        try:
            sample_level(self.job, self.level)
        except SamplingStopped:
            pass
        except BaseException as failure:  # raised where the levels are awaited
            self.failure = failure
            self.live_tokens.stop()

    def _progress(self, description: str, done: int, total: int) -> Advance:
        advance = self.start_progress(description, done, total)

        def advance_unless_stopped(count: int) -> None:
            advance(count)
            if self.stopping.is_set():
                raise SamplingStopped

        return advance_unless_stopped
