"""Each item is made by one of the processes that work on a run."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import item_turns as module
from jukebox_cli.sampling.item_turns import item_turns
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run_names import item_claim
from support.jobs import make_job


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Job:
    """A run of four items without tokens."""
    job = make_job(tmp_path / "run", tiny, registry, range(4))
    create_run(job)
    return job


def test_free_items_come_at_once_with_what_is_on_disk(job: Job) -> None:
    longer = job.specs[2].extended(9000)
    job.run.write_item(2, longer)
    (turn,) = item_turns(job)
    assert turn.items == (0, 1, 2, 3)
    assert turn.specs == {**job.specs, 2: longer}
    assert not list(job.run.path.rglob(".item*"))


def test_items_of_others_come_last(job: Job) -> None:
    is_locked, is_done = threading.Event(), threading.Event()

    def work() -> None:
        with job.run.item_claims() as claims:
            assert claims.take(item_claim(1))
            is_locked.set()
            is_done.wait()

    threading.Thread(target=work).start()
    is_locked.wait()
    turns = item_turns(job)
    assert next(turns).items == (0, 2, 3)
    threading.Timer(0.2, is_done.set).start()
    with pytest.warns(InputWarning) as warned:
        assert next(turns).items == (1,)
    assert list(turns) == []
    holder = str(warned[0].message).removeprefix("waiting for process ")
    assert holder.endswith(f"), which works on item 1 of {job.run.path}")


def test_items_have_locks_within_their_turn(job: Job) -> None:
    with job.run.item_claims() as claims:
        for _ in item_turns(job):
            assert not claims.take(item_claim(3))
        assert claims.take(item_claim(3))


def test_items_are_locked_a_number_at_a_time(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ITEMS", 3)
    assert [turn.items for turn in item_turns(job)] == [(0, 1, 2), (3,)]
    assert list(item_turns(replace(job, items=()))) == []
