"""Levels in parallel: each in a process that follows the one above it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from support.jobs import make_job
from support.run_files import all_tokens, tokens

JobMaker = Callable[..., Job]


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
    monkeypatch.setattr(pipeline, "MIN_PARALLEL_TOKENS", 1)
    monkeypatch.setattr(pipeline, "available_cores", lambda: 2)


def count_to(counts: dict[str, int]) -> Callable[[str, int, int], Advance]:
    """A progress bar that adds up the steps of each stage."""

    def start(description: str, done: int, total: int) -> Advance:
        counts[description] = done

        def advance(count: int) -> None:
            counts[description] += count

        return advance

    return start


@pytest.mark.slow
def test_levels_in_parallel_have_the_tokens_of_levels_in_turn(
    job: JobMaker, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[str, int] = {}
    together = job("together", progress=count_to(counts))
    assert pipeline.parallel_levels_pay(together, [2, 1, 0])
    pipeline.complete_run(together, "tokens")
    assert counts == {"level 2": 200, "level 1": 400, "level 0": 800}
    monkeypatch.setattr(pipeline, "MIN_PARALLEL_TOKENS", 10_000)
    alone = job("alone")
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
        ((2, 1, 0), {"available_cores": 1}),
        ((2, 1, 0), {"MIN_PARALLEL_TOKENS": 801}),
        ((2, 1, 0), {"_num_parameters": 50_000_000}),
    ],
)
def test_levels_are_not_parallel_where_that_is_slower(
    lacking: Sequence[int],
    changes: dict[str, int],
    job: JobMaker,
    two_cores: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in changes.items():
        made = value if name == "MIN_PARALLEL_TOKENS" else lambda *_, value=value: value
        monkeypatch.setattr(pipeline, name, made)
    assert not pipeline.parallel_levels_pay(job("run"), lacking)


def test_the_number_of_cores_can_be_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    there = pipeline.available_cores()
    assert there >= 1
    for limit, cores in (("1", 1), ("1000", there), ("", there), ("some", there)):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert pipeline.available_cores() == cores


@pytest.mark.slow
def test_an_error_of_a_worker_is_raised_here(
    job: JobMaker, two_cores: None, tiny: Model, tmp_path: Path
) -> None:
    model = Model(tmp_path / "model")
    model.path.mkdir()
    for path in tiny.path.iterdir():
        if path.is_file():
            (model.path / path.name).write_bytes(path.read_bytes())
    save_file({"other": np.zeros(1, np.float32)}, str(model.weights("prior-1")))
    this_job = job("run", model=model)
    with pytest.raises(InputError, match="the weights of model 'model' do not fit"):
        pipeline.complete_run(this_job, "tokens")
    assert [this_job.num_sampled_tokens(2, item) for item in this_job.items] == [
        100,
        100,
    ]  # nothing is lost


def test_a_worker_that_ends_at_once_is_an_error(
    job: JobMaker, two_cores: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "WORKER", "no_such_module")
    with pytest.raises(RuntimeError, match="sampling level 1 ended with exit code 1"):
        pipeline.complete_run(job("run"), "tokens")


CODE = """
import signal, sys
from jukebox_cli.sampling import pipeline
from jukebox_cli.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
pipeline.MIN_PARALLEL_TOKENS, pipeline.available_cores = 1, lambda: 2
main()
"""
WORDS = ("--seconds", 1.5, "--seed", 5, "--until", "tokens")


def start(model: Model, out: Path) -> subprocess.Popen[str]:
    arguments = ["generate", "--model", model.path, "--out", out, *WORDS]
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def complete(model: Model, out: Path) -> None:
    process = start(model, out)
    _, errors = process.communicate()
    assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def whole(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not interrupted."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    complete(tiny, run)
    return run


def children(process: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_all_processes_and_the_same_command_completes_the_run(
    number: signal.Signals, code: int, whole: Path, tiny: Model, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(tiny, out)
    while len(tokens(out, 0)) < 100:
        assert process.poll() is None
    others = [pid for pid in children(process.pid) if Path(f"/proc/{pid}").exists()]
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == code, errors
    assert len(others) == 2
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() and not _is_dead(pid) for pid in others):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not list(out.rglob("*.part"))
    complete(tiny, out)
    assert all_tokens(out) == all_tokens(whole)


def _is_dead(pid: int) -> bool:
    """Whether a process has ended, even if its parent has not waited for it yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True
