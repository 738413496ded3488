"""Where memory runs out, fewer rows are sampled side by side, with the same tokens."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import row_limit, sampler
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.row_limit import RowLimit, no_memory_error
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from support.jobs import make_job
from support.results import refusal
from support.run_files import all_tokens


def test_groups_become_smaller_and_stay_so() -> None:
    limit, sampled = RowLimit(2), []

    def sample(rows: Sequence[int]) -> None:
        if len(rows) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sampled.append(list(rows))

    with pytest.warns(InputWarning) as caught:
        limit.sample(range(10), sample, 0)
    assert sampled == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert [str(w.message) for w in caught] == [
        "out of memory with 10 items side by side at level 2: going on with 5",
        "out of memory with 5 items side by side at level 2: going on with 2",
    ]
    sampled.clear()
    limit.sample(range(3), sample, 0)
    assert sampled == [[0, 1], [2]]


def test_one_row_too_many_is_refused_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(rows: Sequence[int]) -> None:
        raise MemoryError

    monkeypatch.setattr(row_limit, "free_memory", lambda: 3_100_000)
    message, hint = refusal(RowLimit(0).sample, [1], sample, 12_000_000)
    assert message == (
        "out of memory for one item at a time at level 0: "
        "it takes about 12 MB more, 3.1 MB are free"
    )
    assert hint == (
        "free some memory, or take less with --batch or --precision; what is sampled stays, and "
        "the same command goes on"
    )
    monkeypatch.setattr(row_limit, "free_memory", lambda: None)
    assert no_memory_error().message == "out of memory"


def test_other_errors_are_no_concern_of_the_limit() -> None:
    def sample(rows: Sequence[int]) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        RowLimit(0).sample([1, 2], sample, 0)


@pytest.mark.parametrize("engine", ["native", "torch"])
@pytest.mark.parametrize("moment", ["opened", "sampled"])
def test_tokens_are_the_same_after_memory_ran_out(
    engine: str,
    moment: str,
    tiny: Model,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(name: str) -> dict[tuple[int, int], list[int]]:
        job = make_job(tmp_path / name, tiny, registry, (0, 1, 2, 3, 4), engine=engine)
        create_run(job)
        sample_level(job, job.top_level)
        return all_tokens(job.run.path)

    expected = run("whole")
    fail = failing_when_opened if moment == "opened" else failing_when_sampled
    fail(monkeypatch, largest=2)
    with pytest.warns(InputWarning, match="going on with 2"):
        found = run("short")
    assert found == expected


def failing_when_opened(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    real = sampler.WindowSampler.__init__

    def opening(self: Any, level: Any, batch: Sequence[Any], *more: Any) -> None:
        if len(batch) > largest:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        real(self, level, batch, *more)

    monkeypatch.setattr(sampler.WindowSampler, "__init__", opening)


def failing_when_sampled(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    real: Callable[..., int] = sampler.WindowSampler._sample
    calls = iter(range(1000))

    def sampling(self: Any, position: int, end: int) -> int:
        if len(self.batch) > largest and next(calls) % 7 == 6:
            raise MemoryError
        return real(self, position, end)

    def run(self: Any, callbacks: Any) -> None:
        real_run(self, sampler.ProgressCallbacks(callbacks.on_tokens, callbacks.save, every=3))

    real_run = sampler.WindowSampler.run
    monkeypatch.setattr(sampler.WindowSampler, "run", run)
    monkeypatch.setattr(sampler.WindowSampler, "_sample", sampling)


#: Samples with so little address space that a batch of 256 does not fit.
LIMITED = """
import os, resource
from jukebox_cli.engine import memory
from jukebox_cli.sampling import rows
real = rows.sample_rows

def limited(*arguments):
    used = memory._status("VmSize")
    limit = used + int(os.environ["ROOM"])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    rows.sample_rows = real
    level.sample_rows = real
    return real(*arguments)

from jukebox_cli.sampling import level
level.sample_rows = limited
from jukebox_cli.cli import main
main()
"""


@pytest.mark.slow
def test_a_real_limit_of_memory_is_respected(tmp_path: Path) -> None:
    def generate(out: str, code: str, room: int = 0) -> subprocess.CompletedProcess[str]:
        words = ["generate", "--seconds", "0.1", "--items", "256", "--batch", "256"]
        command = [sys.executable, "-c", code, *words, "--until", "top", "--out", out]
        environment = {**os.environ, "ROOM": str(room), "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )

    whole = generate("whole", "from jukebox_cli.cli import main; main()")
    assert whole.returncode == 0, whole.stderr
    short = generate("short", LIMITED, 600 << 20)
    assert short.returncode == 0, short.stderr
    warning = "warning: out of memory with 256 items side by side at level 2: going on with 128\n"
    assert warning in short.stderr
    assert all_tokens(tmp_path / "short") == all_tokens(tmp_path / "whole")
    none = generate("none", LIMITED, 1 << 20)
    assert none.returncode == 2, none.stderr
    assert "\nerror: out of memory" in none.stderr
    assert "Traceback" not in none.stderr


def test_the_error_is_one_that_a_person_can_fix() -> None:
    assert isinstance(no_memory_error(), InputError)
