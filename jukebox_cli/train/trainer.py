"""The training loop, for autoencoders and priors alike.

What a step does depends on its number alone (batch, noise, learning rate), never on hidden state.
So a run that was stopped and resumed sees the same batches and has the same losses as one that
was not.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from jukebox_cli.engine.memory import free_device_memory
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.interfaces.signals import END_SIGNALS
from jukebox_cli.model.devices import autocast
from jukebox_cli.sampling.requirements import require_training_room
from jukebox_cli.storage.model import Model
from jukebox_cli.train.checkpoint import export_weights, resume, save_checkpoint
from jukebox_cli.train.compilation import compile_layers
from jukebox_cli.train.data import iterate_batches
from jukebox_cli.train.task import Metrics, StageLoss, Task

#: About how many times held-out songs are measured during a training run.
NUM_EVALUATIONS = 10


@dataclass(frozen=True)
class TrainingConfig:
    """Length, optimizer and logging of a training run."""

    steps: int = 1000  # optimizer steps in all, those before a resumption included
    learning_rate: float = 3e-4  # of AdamW, between warm-up and cool-down
    warmup_steps: int = 100  # steps over which the learning rate rises linearly from 0
    cooldown_fraction: float = 0.2  # of the steps: the last ones, over which it falls to 0
    weight_decay: float = 0.01  # of weights with two dimensions or more
    max_grad_norm: float = 1.0  # gradients with a larger 2-norm are scaled down to it
    betas: tuple[float, float] = (0.9, 0.95)  # of AdamW's moving averages
    save_every: int = 500  # steps between checkpoints
    log_every: int = 20  # steps between lines of the log
    precision: str = "auto"  # of the forward pass: auto, fp32 or bf16
    compile: bool = False  # whether transformer layers are compiled with torch.compile
    num_workers: int = 0  # processes that prepare batches; 0: the training process itself
    #: what else the losses depend on, by option: a training that is resumed should have the same
    options: Mapping[str, Any] = field(default_factory=dict)

    def evaluates_at(self, step: int) -> bool:
        """Whether held-out songs are measured after `step` steps, when a checkpoint is written."""
        checkpoints = max(1, round(self.steps / NUM_EVALUATIONS / self.save_every))
        return step % (checkpoints * self.save_every) == 0

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0: linear warm-up, constant, linear cool-down.

        Only the cool-down depends on the number of steps, so a longer run begins like a shorter.
        """
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        cooldown_steps = max(1, int(self.steps * self.cooldown_fraction))
        return self.learning_rate * warmup * min(1.0, (self.steps - step) / cooldown_steps)


@dataclass(frozen=True)
class TrainingProgress:
    """The state of a training run when a line is logged."""

    first_step: int  # steps that were done before this process began
    step: int  # steps done
    steps: int  # steps in all
    loss: float  # of the last step
    metrics: Metrics  # of the last step
    seconds: float  # since this process began to train


OnProgress = Callable[[TrainingProgress], None]


def train(
    task: Task,
    model: Model,
    config: TrainingConfig,
    on_progress: OnProgress = lambda progress: None,
) -> Metrics:
    """Train until `config.steps` and return the held-out metrics.

    Training resumes from the last checkpoint if there is one, or else from the model's weights if
    it has them. Checkpoints, weights and log.jsonl are written to the model's folder. What a killed
    process left undone there is done first.

    On SIGINT or SIGTERM, the current step is finished, a checkpoint is written and
    KeyboardInterrupt is raised. Raises InputError if the loss or its gradient is not finite, and if
    there is no memory or disk for the state of the training.
    """
    _require_room(task, model)
    task.module.train()
    optimizer = build_optimizer(task.module, config)
    run = _Run(task, model, config, on_progress, optimizer, resume(task, optimizer, model))
    run.repair()
    if config.compile:
        compile_layers(task.module)
    steps = range(run.first_step, config.steps)
    batches = iterate_batches(task.batch_source, steps, config.num_workers, run.device)
    with _deferred_signals() as signal_received:
        for step, batch in zip(steps, batches, strict=True):
            loss, metrics = run.update(step, batch)
            run.finish_step(step + 1, loss, metrics, signal_received())
    return evaluate(task, model, max(config.steps, run.first_step))


def _require_room(task: Task, model: Model) -> None:
    """Raises InputError if there is no memory or disk for the state of the training."""
    parameters = [each for each in task.module.parameters() if each.requires_grad]
    count = sum(each.numel() for each in parameters)
    require_training_room(count, model.path, free_device_memory(parameters[0].device))


def evaluate(task: Task, model: Model, step: int) -> Metrics:
    """Measure held-out songs, append the metrics to the model's log and return them; only return
    them if the log has them already."""
    for row in model.log_rows():
        if (row.get("component"), row.get("step")) == (task.component, step) and "held_out" in row:
            return dict(row["held_out"])
    task.module.eval()
    with torch.no_grad():  # what a task keeps is used for training too: no tensors of inference
        metrics = task.evaluate()
    task.module.train()
    model.append_log({"component": task.component, "step": step, "held_out": metrics})
    return metrics


class _Run:
    """A training run in this process."""

    def __init__(
        self,
        task: Task,
        model: Model,
        config: TrainingConfig,
        on_progress: OnProgress,
        optimizer: torch.optim.Optimizer,
        first_step: int,
    ) -> None:
        self.task, self.model, self.config, self.on_progress = task, model, config, on_progress
        self.optimizer, self.first_step, self.start_time = optimizer, first_step, monotonic()

    @property
    def device(self) -> torch.device:
        return next(self.task.module.parameters()).device

    def update(self, step: int, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The updates of a step; the last loss and figures to log, all of shape ()."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(step)
        losses, metrics = self.task.losses(step, batch), dict[str, Tensor]()
        loss = torch.zeros(())
        while stage := self._next(losses):
            loss = stage.loss.detach()
            metrics |= {**stage.metrics, f"{stage.prefix}grad_norm": self._minimize(stage.loss)}
        return loss, metrics

    def _next(self, losses: Iterator[StageLoss]) -> StageLoss | None:
        """The next loss, computed in the precision of the training; None after the last."""
        with autocast(self.device, self.config.precision):
            return next(losses, None)

    def _minimize(self, loss: Tensor) -> Tensor:
        """One step of the optimizer; the norm of the gradient."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = self.task.module.parameters()
        grad_norm = nn.utils.clip_grad_norm_(parameters, self.config.max_grad_norm)
        self.optimizer.step()
        return grad_norm

    def repair(self) -> None:
        """Do what a process did not that was killed after its last checkpoint, and undo what it did
        beyond: lines of the log about steps that are done again."""
        self.model.drop_log_rows(self.task.component, self.first_step)
        if self.first_step:
            export_weights(self.task, self.model)
        if 0 < self.first_step < self.config.steps and self.config.evaluates_at(self.first_step):
            evaluate(self.task, self.model, self.first_step)

    def finish_step(
        self, step: int, loss: Tensor, metrics: dict[str, Tensor], interrupted: bool
    ) -> None:
        """Log, save and evaluate after `step` steps, as far as each is due; KeyboardInterrupt if a
        signal was received."""
        config = self.config
        saves = step % config.save_every == 0 or step == config.steps or interrupted
        if saves or step % config.log_every == 0:
            self._log(step, loss, metrics)
        if saves:
            save_checkpoint(self.task, self.optimizer, self.model, step, self.config.options)
        if interrupted:
            raise KeyboardInterrupt
        if step < config.steps and config.evaluates_at(step):
            evaluate(self.task, self.model, step)

    def _log(self, step: int, loss: Tensor, metrics: dict[str, Tensor]) -> None:
        # only now, since reading a value from a GPU waits for it
        norms = [value for name, value in metrics.items() if name.endswith("grad_norm")]
        if not torch.isfinite(loss + sum(norms)):
            raise InputError(
                f"the loss of {self.task.component} is not finite at step {step}",
                "train with a lower --learning-rate; the last checkpoint was kept",
            )
        values = {name: float(value) for name, value in metrics.items()}
        seconds = monotonic() - self.start_time
        progress = TrainingProgress(
            self.first_step, step, self.config.steps, float(loss), values, seconds
        )
        row = {
            "component": self.task.component,
            "step": step,
            "loss": progress.loss,
            "learning_rate": self.config.learning_rate_at(step - 1),
            "seconds": round(seconds, 1),
            **values,
        }
        self.model.append_log(row)
        self.on_progress(progress)


def build_optimizer(module: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices and filters, and none on biases and gains."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decayed = {"params": [p for p in trained if p.dim() > 1]}
    other = {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0}
    groups: list[dict[str, Any]] = [group for group in (decayed, other) if group["params"]]
    return torch.optim.AdamW(
        groups, config.learning_rate, config.betas, weight_decay=config.weight_decay
    )


@contextmanager
def _deferred_signals() -> Iterator[Callable[[], bool]]:
    """A context in which the first signal to end only sets a flag.

    Yields a function that returns the flag. A second signal is handled at once, as it was before
    the context, and so is the first if the context ends with KeyboardInterrupt: a handler may raise
    a subclass of it that says which signal it was.
    """
    received: list[int] = []

    def defer(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, handle)

    def handle(number: int, frame: object) -> None:
        handler = handlers[signal.Signals(number)]
        (handler if callable(handler) else signal.default_int_handler)(number, None)

    handlers = {number: signal.signal(number, defer) for number in END_SIGNALS}
    try:
        yield lambda: bool(received)
    except KeyboardInterrupt:
        if received:
            handle(received[0], None)
        raise
    finally:
        for number, previous in handlers.items():
            signal.signal(number, previous)
