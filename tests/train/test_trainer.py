"""The training loop: resuming, learning rate, weight decay, logging, precision."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors
from jukebox_cli.train.task import OneLossTask, Task
from jukebox_cli.train.trainer import TrainingConfig, TrainingProgress, train
from support.training import (
    CONFIG,
    InterruptedTask,
    MakeTask,
    PowerFailure,
    TrainingResult,
    fail,
    losses,
    new_model,
    training_result,
)


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_stopped_by_a_signal_in_every_step_has_the_result_of_an_uninterrupted_one(
    make_task: MakeTask, model: Model, uninterrupted: TrainingResult, number: int
) -> None:
    handler = signal.getsignal(number)
    for step in range(1, 5):
        task = InterruptedTask(make_task(model), step - 1, send(number))
        with pytest.raises(KeyboardInterrupt):
            train(task, model, CONFIG)
        assert signal.getsignal(number) is handler
        assert list(losses(model)) == list(range(1, step + 1))
    last = make_task(model)
    train(last, model, CONFIG)
    assert training_result(model, last.component) == uninterrupted


@pytest.mark.parametrize("step", range(5))
def test_a_killed_run_resumes_from_its_last_checkpoint(
    make_task: MakeTask, model: Model, uninterrupted: TrainingResult, step: int
) -> None:
    with pytest.raises(PowerFailure):
        train(InterruptedTask(make_task(model), step, fail), model, CONFIG)
    resumed = make_task(model)
    steps: list[int] = []
    train(resumed, model, CONFIG, lambda progress: steps.append(progress.step))
    assert steps == list(range(step // 2 * 2 + 1, 6))
    assert training_result(model, resumed.component) == uninterrupted


def test_a_finished_run_is_not_trained_again(make_task: MakeTask, model: Model) -> None:
    train(make_task(model), model, CONFIG)
    checkpoint = model.checkpoint(make_task(model).component)
    before = checkpoint.read_bytes()
    train(InterruptedTask(make_task(model), 0, fail), model, CONFIG)
    assert len([row for row in read_jsonl(model.log) if "loss" in row]) == 5
    assert checkpoint.read_bytes() == before


def test_a_finished_run_continues_with_more_steps(make_task: MakeTask, model: Model) -> None:
    train(make_task(model), model, CONFIG)
    train(make_task(model), model, replace(CONFIG, steps=7))
    assert list(losses(model)) == [1, 2, 3, 4, 5, 6, 7]


# learning rate and weight decay


@pytest.mark.parametrize(
    ("warmup", "cooldown", "rates"),
    [
        (4, 0.3, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 2 / 3, 1 / 3]),
        (0, 0.5, [1, 1, 1, 0.5]),
        (1, 0.0, [1, 1, 1]),
        (4, 1.0, [0.25, 0.375, 0.375, 0.25]),
    ],
)
def test_the_learning_rate_warms_up_stays_and_cools_down(
    warmup: int, cooldown: float, rates: list[float]
) -> None:
    config = TrainingConfig(len(rates), 2.0, warmup, cooldown)
    expected = [2 * rate for rate in rates]
    assert [config.learning_rate_at(step) for step in range(len(rates))] == pytest.approx(expected)
    assert config.learning_rate_at(len(rates)) == 0


def test_a_longer_run_has_the_same_learning_rates_until_the_shorter_one_cools_down() -> None:
    short = TrainingConfig(steps=100, warmup_steps=10)
    long = TrainingConfig(steps=200, warmup_steps=10)
    rates = [[config.learning_rate_at(step) for step in range(80)] for config in (short, long)]
    assert rates[0] == rates[1]


def test_the_log_has_the_learning_rate_of_each_step(make_task: MakeTask, model: Model) -> None:
    train(make_task(model), model, CONFIG)
    rates = [row["learning_rate"] for row in read_jsonl(model.log) if "loss" in row]
    assert rates == [CONFIG.learning_rate_at(step) for step in range(5)]


def test_weight_decay_applies_to_matrices_and_filters_alone(
    make_task: MakeTask, model: Model
) -> None:
    task = make_task(model)
    before = {name: p.detach().clone() for name, p in task.module.named_parameters()}
    # gradients are clipped to almost nothing, so that weight decay is the only update
    config = replace(CONFIG, steps=1, warmup_steps=0, learning_rate=1e-3, max_grad_norm=1e-20)
    train(task, model, replace(config, weight_decay=100.0))
    for name, parameter in task.module.named_parameters():
        factor = 0.9 if parameter.dim() > 1 else 1
        torch.testing.assert_close(parameter.detach(), factor * before[name])


# losses that are not finite


def fill_with_nan(task: Task) -> Callable[[], None]:
    def fill() -> None:
        with torch.no_grad():
            next(task.module.parameters()).fill_(float("nan"))

    return fill


@pytest.mark.parametrize("log_every", [1, 1000])
@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_loss_of_nan_ends_the_run_and_keeps_the_last_checkpoint(
    make_task: MakeTask, model: Model, step: int, log_every: int
) -> None:
    task = make_task(model)
    with pytest.raises(InputError) as caught:
        train(
            InterruptedTask(task, step, fill_with_nan(task)),
            model,
            replace(CONFIG, log_every=log_every),
        )
    noticed = step + 1 if log_every == 1 else min(5, step // 2 * 2 + 2)
    assert caught.value.message == f"the loss of {task.component} is not finite at step {noticed}"
    assert caught.value.hint == "train with a lower --learning-rate; the last checkpoint was kept"
    assert not model.log.exists() or "NaN" not in model.log.read_text()
    for path in (model.checkpoint(task.component), model.weights(task.component)):
        assert all(tensor.isfinite().all() for tensor in load_tensors(path).values())


class NanGradientTask(OneLossTask):
    """A task with a loss of 0 whose gradient is NaN."""

    component = "vqvae-0"

    def __init__(self) -> None:
        self.module = nn.Linear(2, 2)
        self.batch_source: Callable[[int], Any] = int

    def loss(self, step: int, batch: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        return (0 * self.module.weight).abs().sqrt().sum(), {}

    def evaluate(self) -> dict[str, float]:
        return {}

    def export(self) -> dict[str, Tensor]:
        return dict(self.module.state_dict())


def test_a_gradient_of_nan_ends_the_run_without_a_checkpoint(model: Model) -> None:
    with pytest.raises(InputError, match="the loss of vqvae-0 is not finite at step 1"):
        train(NanGradientTask(), model, replace(CONFIG, save_every=1))
    assert not model.checkpoint("vqvae-0").exists()


def test_weights_that_the_last_update_made_infinite_are_not_saved(
    make_task: MakeTask, model: Model
) -> None:
    task, learning_rate = make_task(model), float("inf")
    with pytest.raises(InputError) as caught:
        train(task, model, replace(CONFIG, steps=1, learning_rate=learning_rate))
    message = f"the weights of {task.component} are not finite after step 1"
    assert caught.value.message == message
    assert caught.value.hint == "train with a lower --learning-rate; the last checkpoint was kept"
    for path in (model.checkpoint(task.component), model.weights(task.component)):
        assert not path.exists()


def test_weights_that_fp16_can_not_hold_are_not_saved(make_task: MakeTask, model: Model) -> None:
    task = make_task(model)
    with pytest.raises(InputError) as caught:
        train(task, model, replace(CONFIG, steps=1, learning_rate=1e6))
    message = f"the weights of {task.component} are too large for fp16 after step 1"
    assert caught.value.message == message
    assert caught.value.hint == "train with a lower --learning-rate; the last checkpoint was kept"
    assert not model.checkpoint(task.component).exists()


# evaluation, progress, precision


def test_held_out_metrics_are_returned_and_logged_at_the_end(
    make_task: MakeTask, model: Model
) -> None:
    task = make_task(model)
    metrics = train(task, model, CONFIG)
    row = {"component": task.component, "step": 5, "held_out": metrics}
    assert read_jsonl(model.log)[-1] == row
    assert all(np.isfinite(value) for value in metrics.values())
    assert task.module.training


def test_evaluations_during_a_run_do_not_change_its_losses(
    make_task: MakeTask, model: Model, tmp_path: Path
) -> None:
    other = new_model(tmp_path / "other")
    train(make_task(model), model, replace(CONFIG, save_every=2))
    train(make_task(other), other, replace(CONFIG, save_every=100))
    evaluated = [row["step"] for row in read_jsonl(model.log) if "held_out" in row]
    assert evaluated == [2, 4, 5]
    assert losses(model) == losses(other)


def test_a_long_run_is_evaluated_about_ten_times() -> None:
    config = TrainingConfig(steps=14_600, save_every=100)
    evaluated = [step for step in range(1, 14_600) if config.evaluates_at(step)]
    assert evaluated == list(range(1500, 14_600, 1500))


def test_progress_is_reported_whenever_a_line_is_logged(make_task: MakeTask, model: Model) -> None:
    reports: list[TrainingProgress] = []
    train(make_task(model), model, replace(CONFIG, log_every=3, save_every=100), reports.append)
    assert [(p.first_step, p.step, p.steps) for p in reports] == [(0, 3, 5), (0, 5, 5)]
    assert [p.loss for p in reports] == list(losses(model).values())
    assert all({"grad_norm"} < set(p.metrics) for p in reports)


def record_output_dtypes(module: nn.Module) -> set[torch.dtype]:
    """The dtypes of all tensors that submodules return from now on."""
    dtypes: set[torch.dtype] = set()

    def record(module: nn.Module, args: object, out: object) -> None:
        if isinstance(out, Tensor):
            dtypes.add(out.dtype)

    for part in module.modules():
        part.register_forward_hook(record)
    return dtypes


def test_bf16_is_used_on_request_and_keeps_fp32_checkpoints(
    make_task: MakeTask, model: Model
) -> None:
    task = make_task(model)
    dtypes = record_output_dtypes(task.module)
    train(task, model, replace(CONFIG, steps=4, precision="bf16"))
    assert torch.bfloat16 in dtypes
    assert all(np.isfinite(loss) for loss in losses(model).values())
    saved = load_tensors(model.checkpoint(task.component))
    assert {t.dtype for t in saved.values()} == {torch.float32}
    assert all(tensor.isfinite().all() for tensor in saved.values())


def test_fp32_is_used_on_request(make_task: MakeTask, model: Model) -> None:
    task = make_task(model)
    dtypes = record_output_dtypes(task.module)
    train(task, model, replace(CONFIG, steps=1, precision="fp32"))
    assert dtypes == {torch.float32}
