"""A process that samples a level: it is stopped by its input, and passes on what fails in it.

What it does meanwhile is in `test_worker`, several together in `test_pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import level_process
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from support.jobs import make_job, tokens_on_disk

JobMaker = Callable[..., Job]


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> JobMaker:
    """`job(name)` is a job on a run with one item, sampled by torch."""

    def make(name: str, **changes: Any) -> Job:
        made = make_job(tmp_path / name, tiny, registry, (0,), num_samples=800, engine="torch")
        create_run(made)
        return replace(made, **changes)

    return make


@pytest.mark.slow
def test_it_samples_what_sample_level_samples_and_reports_progress(job: JobMaker) -> None:
    reports: list[object] = []

    def start(*words: object) -> Advance:
        reports.append(words)
        return reports.append

    here, there = job("here"), job("there", progress=start)
    sample_level(here, 2)
    process = LevelProcess(there, 2)
    process.finish()
    process.stop()
    assert tokens_on_disk(there) == tokens_on_disk(here)
    assert reports[0] == ("level 2", 0, 50)
    assert sum(count for count in reports[1:] if isinstance(count, int)) == 50


@pytest.mark.slow
def test_it_ends_when_it_is_stopped(job: JobMaker) -> None:
    """It waits for the level above."""
    started = Event()

    def start(*_: object) -> Advance:
        started.set()
        return lambda count: None

    process = LevelProcess(job("run", progress=start), 1)
    assert started.wait(60)
    process.stop()
    assert process.process.returncode == 0
    assert not process.receiver.is_alive()
    process.finish()


def test_its_error_is_raised_where_it_is_awaited(job: JobMaker) -> None:
    process = LevelProcess(job("run", device="nosuch"), 2)
    with pytest.raises(InputError, match="no device 'nosuch' on this machine"):
        process.finish()
    process.stop()


def test_a_process_that_ends_at_once_is_an_error(
    job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(level_process, "WORKER", "no_such_module")
    process = LevelProcess(job("run"), 2)
    with pytest.raises(RuntimeError, match="sampling level 2 ended with exit code 1"):
        process.finish()
    process.stop()


def test_it_imports_from_where_this_process_does(
    job: JobMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    report = tmp_path / "paths.txt"
    code = f"import sys; open({str(report)!r}, 'w').write('\\n'.join(sys.path))"
    (tmp_path / "elsewhere" / "writes_its_paths.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    monkeypatch.setattr(level_process, "WORKER", "writes_its_paths")
    process = LevelProcess(job("run"), 2)
    process.finish()
    process.stop()
    paths = report.read_text().splitlines()
    assert paths[0] == str(tmp_path / "elsewhere")
