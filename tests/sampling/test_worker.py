"""A worker samples its level, reports progress, and ends when its input is closed."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.messages import (
    LevelFailed,
    LevelTask,
    ProgressAdvanced,
    ProgressStarted,
)
from jukebox_cli.storage.model import Model
from support.jobs import make_job, tokens_on_disk


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "jukebox_cli.sampling.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def messages(output: IO[bytes]) -> Iterator[object]:
    with suppress(EOFError):
        while True:
            yield pickle.load(output)


def give(worker: subprocess.Popen[bytes], task: LevelTask) -> IO[bytes]:
    """Sends a task; the worker's output."""
    assert worker.stdin
    assert worker.stdout
    pickle.dump(task, worker.stdin)
    worker.stdin.flush()
    return worker.stdout


@pytest.mark.slow
def test_a_worker_samples_the_same_tokens_as_this_process(
    worker: subprocess.Popen[bytes], tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "a", tiny, registry, (0,), num_samples=800)
    start, *reports = messages(give(worker, LevelTask.from_job(job, 2)))
    assert worker.wait() == 0
    assert start == ProgressStarted("level 2", 0, 50)
    counts = [report.count for report in reports if isinstance(report, ProgressAdvanced)]
    assert (len(counts), sum(counts)) == (len(reports), 50)
    here = make_job(tmp_path / "b", tiny, registry, (0,), num_samples=800)
    sample_level(here, 2)
    assert tokens_on_disk(job) == tokens_on_disk(here)


@pytest.mark.slow
def test_a_worker_waits_for_the_level_above_until_its_input_is_closed(
    worker: subprocess.Popen[bytes], tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = make_job(tmp_path, tiny, registry, (0,), num_samples=800)
    output = messages(give(worker, LevelTask.from_job(job, 1)))
    assert next(output) == ProgressStarted("level 1", 0, 100)
    assert worker.poll() is None
    assert worker.stdin
    worker.stdin.close()
    assert (list(output), worker.wait()) == ([], 0)


def test_a_worker_sends_its_error(
    worker: subprocess.Popen[bytes], tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = make_job(tmp_path, tiny, registry, (0,), num_samples=800, device="nosuch")
    (failure,) = messages(give(worker, LevelTask.from_job(job, 2)))
    assert isinstance(failure, LevelFailed)
    assert str(failure.error).startswith("no device 'nosuch'")
