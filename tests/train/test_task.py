"""Tasks of the training loop: loss, evaluation and exported weights."""

from __future__ import annotations

import torch

from jukebox_cli.storage.model import Model
from support.training import MakeTask


def test_the_loss_reaches_every_parameter_and_is_a_function_of_the_step(
    make_task: MakeTask, model: Model
) -> None:
    results = []
    for _ in range(2):
        task = make_task(model)
        [(loss, metrics, prefix)] = task.losses(0, task.batch_source(0))
        assert prefix == ""
        loss.backward()
        missing = {name for name, p in task.module.named_parameters() if p.grad is None}
        assert missing <= {"start_embedding"}  # unused where a conditioner gives the start
        assert all(p.grad.isfinite().all() for p in task.module.parameters() if p.grad is not None)
        assert loss.shape == ()
        assert all(value.shape == () and not value.requires_grad for value in metrics.values())
        results.append(loss.item())
    assert results[0] == results[1]


def test_evaluation_metrics_are_named(make_task: MakeTask, model: Model) -> None:
    task = make_task(model)
    with torch.inference_mode():
        metrics = task.evaluate()
    if task.component == "prior-0":
        assert set(metrics) == {"bits_per_token"}
    else:
        names = {"spectral_convergence_db", "log_mel_loss", "entropy_bits", "codes_used"}
        assert set(metrics) == names


def test_exported_weights_are_the_state_in_fp16(make_task: MakeTask, model: Model) -> None:
    task = make_task(model)
    state = task.module.state_dict()
    weights = task.export()
    assert list(weights) == list(state)
    assert all(torch.equal(weights[name], state[name].half()) for name in state)
