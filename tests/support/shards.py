"""Commands that share the work on one run, as functions and threads of this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Thread

import pytest

from jukebox_cli.sampling import shard_worker
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.sampling.shard import Shard
from jukebox_cli.sampling.shard_plan import begin_shared
from jukebox_cli.sampling.shard_worker import complete_shared
from jukebox_cli.storage.claims import Claims
from jukebox_cli.storage.run import Run


def share(job: Job, number: int, count: int, until: str = "tokens") -> Job:
    """A job as one of several commands finds it and begins it."""
    mine = replace(job, run=Run(job.run.path), shard=Shard(number, count))
    return begin_shared(mine, until, create_run)


def work(
    job: Job, number: int = 1, count: int = 1, until: str = "tokens", notes: list[str] | None = None
) -> None:
    """Does a share, and waits for the others."""
    on_wait: Callable[[str], None] = (lambda text: None) if notes is None else notes.append
    complete_shared(share(job, number, count, until), until, on_wait)


def work_together(job: Job, numbers: Sequence[int], until: str = "tokens") -> None:
    """Does all shares at the same time. Raises what went wrong in one of them."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(job, number, len(numbers), until)
        except BaseException as failure:
            failures.append(failure)

    threads = [Thread(target=run, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@contextmanager
def sudden_death(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within the block, a KeyboardInterrupt ends a worker as SIGKILL does: its locks are free, and
    the records of its claims are still there."""

    def drop(self: Claims, name: str) -> None:
        if not isinstance(sys.exc_info()[1], KeyboardInterrupt):
            release(self, name)
        elif lock := self._held.pop(name)._lock:
            lock.release()

    release = Claims.release
    with monkeypatch.context() as patch:
        patch.setattr(Claims, "release", drop)
        with suppress(KeyboardInterrupt):
            yield


def poll_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_worker, "MIN_POLL_SECONDS", 0.01)
    monkeypatch.setattr(shard_worker, "MAX_POLL_SECONDS", 0.01)
