"""What is too large for memory or disk is refused, or sampled in smaller batches, with numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from jukebox_cli.interfaces.errors import FULL_DISK_HINT, InputWarning
from jukebox_cli.sampling import memory_estimate, requirements
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.requirements import (
    fit_to_memory,
    require_training_room,
)
from support.results import refusal

HINT = "free some memory, use --precision int8, or choose a smaller model"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """`memory(free, row)`: so many bytes are free, and a job takes 100 MB and so many a row."""

    def pretend(free: int, row: int) -> None:
        def needed(batch: int) -> int:
            return 100_000_000 + batch * row

        monkeypatch.setattr(requirements, "free_memory", lambda: free)
        estimate = SimpleNamespace(needed=needed)
        monkeypatch.setattr(memory_estimate, "estimate_memory", lambda *_, **__: estimate)

    return pretend


def test_where_there_is_plenty_nothing_is_estimated(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "free_memory", lambda: 1 << 40)
    monkeypatch.setattr(memory_estimate, "estimate_memory", None)
    plain = job()
    assert fit_to_memory(plain, "audio") is plain
    monkeypatch.setattr(requirements, "free_memory", lambda: None)
    assert fit_to_memory(plain, "audio") is plain


def test_a_batch_is_split_with_a_line_that_says_so(
    job: Callable[..., Job], memory: Callable[[int, int], None]
) -> None:
    memory(600_000_000, 300_000_000)
    with pytest.warns(InputWarning) as caught:
        assert fit_to_memory(job(batch_size=16), "audio").batch_size == 1
    assert [str(w.message) for w in caught] == [
        "a batch of 2 needs 700 MB of memory, 600 MB are free: sampling 1 item at a time"
    ]
    memory(900_000_000, 300_000_000)
    assert fit_to_memory(job(batch_size=16), "audio").batch_size == 16


def test_what_does_not_fit_at_all_is_refused(
    job: Callable[..., Job], memory: Callable[[int, int], None]
) -> None:
    memory(800_000_000, 9_000_000_000)
    message = "needs 9.1 GB of memory, 800 MB are free"
    assert refusal(fit_to_memory, job(), "audio") == (message, HINT)
    hint = "free some memory, or choose a smaller model"
    assert refusal(
        requirements._with_batch, job(precision="int8"), lambda _: 9000, 1000, "memory"
    ) == (
        "needs 9 kB of memory, 1 kB are free",
        hint,
    )


def test_a_gpu_has_memory_of_its_own(
    job: Callable[..., Job],
    memory: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    memory(1 << 50, 300_000_000)
    monkeypatch.setattr(requirements, "NVIDIA", tmp_path)
    monkeypatch.setattr(requirements, "free_device_memory", lambda device: 10_000_000)
    message = "needs 400 MB of GPU memory, 10 MB are free"
    assert refusal(fit_to_memory, job(device="auto"), "audio") == (message, HINT)


def test_training_needs_room_for_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "free_memory", lambda: 11_000_000)
    require_training_room(900_000, tmp_path)
    message, hint = refusal(require_training_room, 1_000_000, tmp_path)
    assert message == ("training needs 12 MB of memory beside what a batch takes, 11 MB are free")
    assert hint == "free some memory, or train a smaller model"
    message, _ = refusal(require_training_room, 1_000_000, tmp_path, 1_000_000)
    assert "12 MB of GPU memory" in message
    monkeypatch.setattr(requirements, "free_memory", lambda: None)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=15_900_000))
    message, hint = refusal(require_training_room, 1_000_000, tmp_path)
    assert message == f"{tmp_path} needs 16 MB of disk, 16 MB are free"
    assert hint == FULL_DISK_HINT
