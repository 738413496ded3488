"""Worker processes that prepare batches: the same batches, errors and signals as without them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.model import Model
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.data import iterate_batches, num_workers_for
from jukebox_cli.train.trainer import train
from support.results import refusal
from support.training import CONFIG, InterruptedTask, MakeTask, TrainingResult, training_result

CPU = torch.device("cpu")


def square(step: int) -> torch.Tensor:
    return torch.tensor(step**2)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_the_order_of_the_steps(workers: int) -> None:
    batches = [int(batch) for batch in iterate_batches(square, range(3, 9), workers, CPU)]
    assert batches == [9, 16, 25, 36, 49, 64]


def test_preparing_batches_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    list(iterate_batches(square, range(3), 1, CPU))
    assert torch.equal(torch.get_rng_state(), state)


def test_workers_do_not_change_the_result(
    make_task: MakeTask, model: Model, uninterrupted: TrainingResult
) -> None:
    task = make_task(model)
    train(task, model, replace(CONFIG, num_workers=2))
    assert training_result(model, task.component) == uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_are_gone_after_a_signal(
    make_task: MakeTask, model: Model, uninterrupted: TrainingResult, number: int
) -> None:
    before = multiprocessing.active_children()
    task = InterruptedTask(make_task(model), 2, lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        train(task, model, replace(CONFIG, num_workers=2))
    assert multiprocessing.active_children() == before
    resumed = make_task(model)
    train(resumed, model, replace(CONFIG, num_workers=1))
    assert training_result(model, resumed.component) == uninterrupted


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_file_is_reported_the_same_with_and_without_workers(
    sounds: list[Path], tmp_path: Path, workers: int
) -> None:
    file = tmp_path / "damaged.wav"
    file.write_bytes(sounds[0].read_bytes())
    source = partial(Crops.from_files([file], 512, 8000).batch, batch_size=2)
    file.write_bytes(b"no longer audio")
    with pytest.raises(InputError) as caught:
        list(iterate_batches(source, range(3), workers, CPU))
    assert caught.value.message == f"{file} is not audio that can be read"


def kill_this_process(step: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return step


def test_a_killed_worker_is_reported() -> None:
    with pytest.raises(InputError) as caught:
        list(iterate_batches(kill_this_process, range(3), 1, CPU))
    message = "a worker process that prepares batches was killed; it may have run out of memory"
    assert caught.value.message == message
    assert caught.value.hint == "train with --workers 0, or with a smaller --batch"


def test_a_cpu_has_no_workers_unless_requested() -> None:
    cuda = torch.device("cuda")
    assert num_workers_for(CPU) == 0
    assert num_workers_for(CPU, 3) == 3
    assert 1 <= num_workers_for(cuda) <= 4
    assert num_workers_for(cuda, 0) == 0


def test_too_many_workers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert num_workers_for(CPU, 8) == 8
    error = ("--workers 9 is too many for 2 cores", "use at most 8")
    assert refusal(num_workers_for, CPU, 9) == error
