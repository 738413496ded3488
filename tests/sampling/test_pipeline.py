"""Levels in parallel: each in a thread or process that follows the one above it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from jukebox_cli.engine import loader
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import level_process, pipeline
from jukebox_cli.sampling.compute import with_compute_settings
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.level_thread import LevelThread
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import save_tensors
from support.engines import needs_native_engine
from support.jobs import make_job
from support.run_files import all_tokens, tokens

JobMaker = Callable[..., Job]
Worker = type[LevelThread] | type[LevelProcess]
LEVELS = [2, 1, 0]


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> JobMaker:
    """`job(name)` is a job on a run of that name, whose items are written."""

    def make(name: str, **changes: Any) -> Job:
        changed: dict[str, Any] = {"items": (0, 1), "model": tiny, **changes}
        model, items = changed.pop("model"), changed.pop("items")
        made = make_job(tmp_path / name, model, registry, items, **changed)
        create_run(made)
        return made

    return make


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two cores, on which even short songs are sampled in parallel."""
    monkeypatch.setattr(pipeline, "MIN_PROCESS_TOKENS", 1)
    monkeypatch.setattr(loader, "available_cores", lambda: 2)


#: What each engine's levels are sampled in. The native one may be missing.
WORKERS = [
    pytest.param("torch", LevelProcess, id="processes"),
    pytest.param("native", LevelThread, id="threads", marks=needs_native_engine),
]
in_each_worker = pytest.mark.parametrize(("engine", "worker"), WORKERS)


def count_to(counts: dict[str, int]) -> Callable[[str, int, int], Advance]:
    """A progress bar that adds up the steps of each stage."""

    def start(description: str, done: int, total: int) -> Advance:
        counts[description] = done

        def advance(count: int) -> None:
            counts[description] += count

        return advance

    return start


@pytest.mark.slow
@in_each_worker
def test_levels_in_parallel_have_the_tokens_of_levels_in_turn(
    engine: str, worker: Worker, job: JobMaker, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[str, int] = {}
    together = job("together", engine=engine, progress=count_to(counts))
    assert pipeline.choose_worker(with_compute_settings(together, LEVELS), LEVELS) is worker
    pipeline.complete_run(together, "tokens")
    assert counts == {"level 2": 200, "level 1": 400, "level 0": 800}
    monkeypatch.setattr(loader, "available_cores", lambda: 1)
    alone = job("alone", engine=engine)
    pipeline.complete_run(alone, "tokens")
    assert all_tokens(together.run.path) == all_tokens(alone.run.path)


@pytest.mark.slow
def test_existing_tokens_are_kept(job: JobMaker, two_cores: None) -> None:
    whole, part = job("whole"), job("part", items=(1,))
    pipeline.complete_run(whole, "tokens")
    sample_level(part, 2)
    before = all_tokens(part.run.path)
    counts: dict[str, int] = {}
    pipeline.complete_run(replace(part, progress=count_to(counts)), "tokens")
    assert counts == {"level 1": 200, "level 0": 400}
    assert all_tokens(part.run.path).items() > before.items()
    assert all_tokens(part.run.path) == {
        key: song for key, song in all_tokens(whole.run.path).items() if key[1] == 1
    }


@pytest.mark.parametrize(
    ("lacking", "changes"),
    [
        ((0,), {}),
        (LEVELS, {"engine.loader.available_cores": lambda: 1}),
        (LEVELS, {"sampling.pipeline.MIN_PROCESS_TOKENS": 801}),
        (LEVELS, {"model.loader.LARGE_PARAMETERS": 1}),
    ],
)
def test_levels_are_not_parallel_where_that_is_slower(
    lacking: Sequence[int],
    changes: dict[str, Any],
    job: JobMaker,
    two_cores: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = with_compute_settings(job("run", engine="torch"), LEVELS)
    for name, value in changes.items():
        monkeypatch.setattr(f"jukebox_cli.{name}", value)
    assert pipeline.choose_worker(mine, lacking) is None


@pytest.mark.slow
@in_each_worker
def test_an_error_of_a_worker_is_raised_here(
    engine: str, worker: Worker, job: JobMaker, two_cores: None, tiny: Model, tmp_path: Path
) -> None:
    model = Model(tmp_path / "model")
    model.path.mkdir()
    for path in tiny.path.iterdir():
        if path.is_file():
            (model.path / path.name).write_bytes(path.read_bytes())
    save_tensors(model.weights("prior-1"), {"other": torch.zeros(1)})
    this_job = job("run", model=model, engine=engine)
    with pytest.raises(InputError, match="the weights of model 'model' do not fit"):
        pipeline.complete_run(this_job, "tokens")
    assert [this_job.num_sampled_tokens(2, item) for item in this_job.items] == [
        100,
        100,
    ]  # nothing is lost


def test_a_worker_that_ends_at_once_is_an_error(
    job: JobMaker, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(level_process, "WORKER", "no_such_module")
    with pytest.raises(RuntimeError, match="sampling level 1 ended with exit code 1"):
        pipeline.complete_run(job("run", engine="torch"), "tokens")


CODE = """
import signal, sys
from jukebox_cli.engine import loader
from jukebox_cli.sampling import pipeline
from jukebox_cli.cli import main
from jukebox_cli.storage.tensors import save_tensors
signal.signal(signal.SIGINT, signal.default_int_handler)
pipeline.MIN_PROCESS_TOKENS, loader.available_cores = 1, lambda: 2
main()
"""
SECONDS = {"torch": 1.5, "native": 30}  # long enough to be interrupted
WORDS = ("--seed", 5, "--until", "tokens")


def start(model: Model, out: Path, engine: str) -> subprocess.Popen[str]:
    options = ("--engine", engine, "--seconds", SECONDS[engine], *WORDS)
    arguments = ["generate", "--model", model.path, "--out", out, *options]
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def complete(model: Model, out: Path, engine: str) -> None:
    process = start(model, out, engine)
    _, errors = process.communicate()
    assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def whole(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run of an engine that was not interrupted."""

    @cache
    def make(engine: str) -> Path:
        run = tmp_path_factory.mktemp("runs") / engine
        complete(tiny, run, engine)
        return run

    return make


def children(process: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
@in_each_worker
def test_a_signal_ends_all_processes_and_the_same_command_completes_the_run(
    engine: str,
    worker: Worker,
    number: signal.Signals,
    code: int,
    whole: Callable[[str], Path],
    tiny: Model,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    process = start(tiny, out, engine)
    while len(tokens(out, 0)) < 100:
        assert process.poll() is None
    others = [pid for pid in children(process.pid) if Path(f"/proc/{pid}").exists()]
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == code, errors
    assert len(others) == (2 if worker is LevelProcess else 0)
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() and not _is_dead(pid) for pid in others):
        assert time.monotonic() < until
        time.sleep(0.05)
    # a killed process leaves what it was writing; the next one that writes the file removes it
    assert number == signal.SIGKILL or not list(out.rglob("*.part"))
    complete(tiny, out, engine)
    assert not list(out.rglob("*.part"))
    assert all_tokens(out) == all_tokens(whole(engine))


def _is_dead(pid: int) -> bool:
    """Whether a process has ended, even if its parent has not waited for it yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True
