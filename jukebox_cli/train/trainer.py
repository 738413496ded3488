"""One training loop, for autoencoders and priors alike.

What a step does depends on its number alone (data, noise, learning rate), never on hidden state,
so a run that was killed goes on exactly as it would have without: same batches, same losses.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.devices import autocast
from jukebox_cli.storage.files import append_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.train.checkpoint import resume_from_checkpoint, save_checkpoint
from jukebox_cli.train.data import iterate_batches
from jukebox_cli.train.task import Metrics, Task


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast to train."""

    steps: int = 1000
    learning_rate: float = 3e-4
    warmup_steps: int = 100
    cooldown_fraction: float = 0.2  # the last share of the steps, over which the rate falls to 0
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    betas: tuple[float, float] = (0.9, 0.95)
    save_every: int = 500
    log_every: int = 20
    precision: str = "auto"
    workers: int = 0  # processes that prepare what is learned from

    def evaluates_at(self, step: int) -> bool:
        """Whether what is held out is measured after so many steps: some ten times on the way, when
        a checkpoint is written."""
        saves = max(1, round(self.steps / 10 / self.save_every))
        return step % (saves * self.save_every) == 0

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, flat, linear fall: so that training longer later changes only the end."""
        up = min(1.0, (step + 1) / max(1, self.warmup_steps))
        falling = max(1, int(self.steps * self.cooldown_fraction))
        return self.learning_rate * up * min(1.0, (self.steps - step) / falling)


@dataclass(frozen=True)
class TrainingProgress:
    """What the loop tells whoever watches."""

    first_step: int  # the step that this process began with
    step: int
    steps: int
    loss: float
    metrics: Metrics
    seconds: float  # since this process began to train


OnProgress = Callable[[TrainingProgress], None]


def train(
    task: Task, model: Model, plan: TrainingConfig, watch: OnProgress = lambda _: None
) -> Metrics:
    """Trains until `plan.steps`, from the last checkpoint if there is one, else from the model's
    weights if it has them: so a model that came without its checkpoints can be trained further.

    SIGINT and SIGTERM stop it after the step it is in, with a checkpoint; KeyboardInterrupt then
    says so. Returns the held-out metrics.
    """
    task.module.train()
    optimizer = _optimizer(task.module, plan)
    step = resume_from_checkpoint(task, optimizer, model)
    first, began = step, monotonic()
    feed = iterate_batches(task.source, range(step, plan.steps), plan.workers, _device(task))
    with _deferred_signals() as stopped:
        for batch in feed:
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate_at(step)
            loss, metrics = _step(task, optimizer, plan, step, batch)
            step += 1
            saving = step % plan.save_every == 0 or step == plan.steps or stopped()
            if step % plan.log_every == 0 or saving:
                if not torch.isfinite(loss + metrics["gradient"]):
                    raise InputError(
                        f"the loss of {task.part} is not a number at step {step}",
                        "train with a lower --rate; the last checkpoint is untouched",
                    )
                row = {k: float(v) for k, v in metrics.items()}
                progress = TrainingProgress(
                    first, step, plan.steps, float(loss), row, monotonic() - began
                )
                append_jsonl(model.log, {"part": task.part, **_row(progress, plan)})
                watch(progress)
            if saving:
                save_checkpoint(task, optimizer, model, step)
            if saving and stopped():
                raise KeyboardInterrupt
            if step < plan.steps and plan.evaluates_at(step):
                evaluate(task, model, step)
    return evaluate(task, model, step)


def _step(
    task: Task, optimizer: torch.optim.Optimizer, plan: TrainingConfig, step: int, batch: Any
) -> tuple[Tensor, Mapping[str, Tensor]]:
    with autocast(_device(task), plan.precision):
        loss, metrics = task.loss(step, batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(task.module.parameters(), plan.max_grad_norm)
    optimizer.step()
    return loss.detach(), {**metrics, "gradient": norm}


def _device(task: Task) -> torch.device:
    return next(task.module.parameters()).device


def evaluate(task: Task, model: Model, step: int) -> Metrics:
    """The held-out metrics, logged."""
    task.module.eval()
    with torch.inference_mode():
        metrics = task.held_out()
    task.module.train()
    append_jsonl(model.log, {"part": task.part, "step": step, "held_out": metrics})
    return metrics


def _row(progress: TrainingProgress, plan: TrainingConfig) -> dict[str, object]:
    return {
        "step": progress.step,
        "loss": progress.loss,
        "rate": plan.learning_rate_at(progress.step - 1),
        "seconds": round(progress.seconds, 1),
        **progress.metrics,
    }


def _optimizer(module: nn.Module, plan: TrainingConfig) -> torch.optim.AdamW:
    """AdamW; only matrices and filters decay."""
    wide = [p for p in module.parameters() if p.requires_grad and p.dim() > 1]
    narrow = [p for p in module.parameters() if p.requires_grad and p.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": wide}, {"params": narrow, "weight_decay": 0.0}]
    groups = [g for g in groups if g["params"]]
    return torch.optim.AdamW(groups, plan.learning_rate, plan.betas, weight_decay=plan.weight_decay)


@contextmanager
def _deferred_signals() -> Iterator[Callable[[], bool]]:
    """Within it, the first SIGINT or SIGTERM only sets a flag; a second one acts as usual."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)

    before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
