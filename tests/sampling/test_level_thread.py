"""A thread that samples a level: it waits for the level above, saves when it is stopped, and passes
on what fails in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.level_thread import LevelThread
from jukebox_cli.sampling.live_tokens import LiveTokens
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from support.engines import needs_native_engine
from support.jobs import make_job, tokens_on_disk

pytestmark = needs_native_engine

JobMaker = Callable[..., Job]
#: What a level below waits for at most.
SECONDS = 60.0


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> JobMaker:
    """`job(name)` is a job on a run with one item, sampled by the native engine."""

    def make(name: str, num_samples: int = 1590, **changes: Any) -> Job:
        path = tmp_path / name
        made = make_job(path, tiny, registry, (0,), num_samples=num_samples, engine="native")
        create_run(made)
        return replace(made, **{"live_tokens": LiveTokens(made.run), **changes})

    return make


@pytest.fixture
def threads() -> Iterator[list[LevelThread]]:
    """Threads that are stopped after the test."""
    started: list[LevelThread] = []
    yield started
    for each in started:
        each.stop()
        assert not each.thread.is_alive()


class Bar:
    """A progress bar that can hold the thread at its n-th step."""

    def __init__(self, hold_at: int = 0) -> None:
        self.hold_at, self.steps, self.count = hold_at, 0, 0
        self.started, self.held, self.released = Event(), Event(), Event()

    def __call__(self, description: str, done: int, total: int) -> Advance:
        self.description, self.total = description, total
        self.started.set()
        return self.advance

    def advance(self, count: int) -> None:
        self.steps += 1
        self.count += count
        if self.steps == self.hold_at:
            self.held.set()
            assert self.released.wait(SECONDS)


def test_it_samples_what_sample_level_samples(job: JobMaker, threads: list[LevelThread]) -> None:
    here, bar = job("here"), Bar()
    there = job("there", progress=bar)
    sample_level(here, 2)
    threads.append(LevelThread(there, 2))
    threads[0].finish()
    assert tokens_on_disk(there) == tokens_on_disk(here)
    assert (bar.description, bar.total, bar.count) == ("level 2", 100, 100)


def test_it_follows_the_level_above(job: JobMaker, threads: list[LevelThread]) -> None:
    here, bar = job("here"), Bar()
    there = job("there", progress=bar)
    threads.append(LevelThread(there, 1))
    assert bar.started.wait(SECONDS)
    assert bar.count == 0
    sample_level(replace(there, progress=lambda *_: lambda count: None), 2)
    threads[0].finish()
    for level in (2, 1):
        sample_level(here, level)
    assert tokens_on_disk(there) == tokens_on_disk(here)


def test_it_stops_while_it_waits(job: JobMaker) -> None:
    bar = Bar()
    thread = LevelThread(job("run", progress=bar), 0)
    assert bar.started.wait(SECONDS)
    before = time.monotonic()
    thread.stop()
    assert time.monotonic() - before < SECONDS / 2
    assert not thread.thread.is_alive()
    thread.finish()  # to be stopped is no failure


def test_what_was_sampled_is_saved_when_it_is_stopped(job: JobMaker) -> None:
    whole, bar = job("whole", num_samples=16_000), Bar(hold_at=3)
    sample_level(whole, 2)
    part = job("part", num_samples=16_000, progress=bar)
    thread = LevelThread(part, 2)
    assert bar.held.wait(SECONDS)
    thread.stopping.set()
    bar.released.set()
    thread.stop()
    thread.finish()
    (expected,), (found,) = (tokens_on_disk(each).values() for each in (whole, part))
    assert 64 < len(found) < len(expected)
    assert found == expected[: len(found)]
    sample_level(replace(part, progress=Bar()), 2)
    assert tokens_on_disk(part) == tokens_on_disk(whole)


def test_an_input_error_is_raised_where_it_is_awaited(job: JobMaker) -> None:
    made = job("run")
    made.run.write_tokens(2, 0, np.zeros(100, np.int64), made.model.config.vqvae)
    thread = LevelThread(replace(made, precision="bf16"), 1)
    with pytest.raises(InputError, match="a CPU samples in fp32, fp16 or int8, not in bf16"):
        thread.finish()
    thread.stop()
    with pytest.raises(InputError):  # and again
        thread.finish()


class Failure(BaseException):
    """Nothing that is caught as an error."""


def test_any_failure_is_raised_where_it_is_awaited(job: JobMaker) -> None:
    def fail(count: int) -> None:
        raise Failure

    thread = LevelThread(job("run", progress=lambda *_: fail), 2)
    thread.thread.join(SECONDS)
    with pytest.raises(Failure):
        thread.finish()
    assert tokens_on_disk(thread.job)[2, 0]  # what it had sampled is saved


def test_the_job_of_the_caller_is_not_changed(job: JobMaker, threads: list[LevelThread]) -> None:
    made = job("run")
    threads.append(LevelThread(made, 2))
    threads[0].finish()
    assert made.wait_for_upper is None
    assert threads[0].job.run is not made.run
    assert threads[0].job.run.path == made.run.path
