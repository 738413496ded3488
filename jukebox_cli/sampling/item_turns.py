"""One process at a time works on an item; others take other items, and wait for what is left."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.sampling.job import Job
from jukebox_cli.storage.claims import Claims
from jukebox_cli.storage.run_names import item_claim

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
    """Claims some of the items within the block: those that are free, or else the first."""
    with job.run.item_claims() as claims:
        turn: list[int] = []
        for item in items:
            if len(turn) < MAX_ITEMS and claims.take(item_claim(item)):
                turn.append(item)
        if not turn:
            _wait_for(job, items[0], claims)
            turn.append(items[0])
        yield turn


def _wait_for(job: Job, item: int, claims: Claims) -> None:
    name = item_claim(item)
    holder = claims.holder(name) or "another process"
    message = f"waiting for {holder}, which works on item {item} of {job.run.path}"
    warnings.warn(InputWarning(message), stacklevel=2)
    claims.take(name, wait=True)
