"""One process at a time works on an item; others take other items, and wait for what is left."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.sampling.job import Job
from jukebox_cli.storage.locks import WorkLock

#: Items that a process has at once: each is an open file, of which there can be 1024.
MAX_ITEMS = 256


def item_turns(job: Job) -> Iterator[Job]:
    """The job in parts, of items that no other process works on; at last of those that others had,
    when these are done with them. What another has made of them meanwhile is in the part's
    `specs`."""
    items = list(job.items)
    while items:
        with _locked(job, items) as turn:
            there = [item for item in turn if job.run.has_item(item)]
            yield replace(job, items=tuple(turn), specs={**job.specs, **job.run.read_items(there)})
        items = [item for item in items if item not in turn]


@contextmanager
def _locked(job: Job, items: Sequence[int]) -> Iterator[list[int]]:
    """Locks some of the items within the block: those that are free, or else the first."""
    locks: dict[int, WorkLock] = {}
    try:
        for item in items:
            lock = job.run.item_lock(item)
            if len(locks) < MAX_ITEMS and lock.acquire():
                locks[item] = lock
        if not locks:
            locks[items[0]] = _wait_for(job, items[0])
        yield list(locks)
    finally:
        for lock in locks.values():
            lock.release()


def _wait_for(job: Job, item: int) -> WorkLock:
    lock = job.run.item_lock(item)
    holder = lock.holder() or "another process"
    message = f"waiting for {holder}, which works on item {item} of {job.run.path}"
    warnings.warn(InputWarning(message), stacklevel=2)
    lock.acquire(wait=True)
    return lock
