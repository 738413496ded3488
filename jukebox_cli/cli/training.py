"""Shared by `train vqvae` and `train prior`: options, the trainer's settings, progress."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.cli.console import print_note, progress
from jukebox_cli.cli.options import MAX_NUMBER, Device, DeviceFlag, Quiet
from jukebox_cli.interfaces.command_options import option_flag, pluralize
from jukebox_cli.interfaces.errors import InputError, InputWarning

if TYPE_CHECKING:
    import torch

    from jukebox_cli.sampling.job import StartProgress
    from jukebox_cli.storage.model import Model
    from jukebox_cli.train.task import Task
    from jukebox_cli.train.trainer import TrainingConfig, TrainingProgress


LearningRate = Annotated[float, typer.Option(min=0, max=MAX_NUMBER, help="Peak learning rate.")]


class TrainingPrecision(str, Enum):
    """The dtype of activations in training; weights are fp32."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


@dataclass(frozen=True)
class TrainingOptions:
    """Training options that codecs and priors share."""

    steps: Annotated[
        int, typer.Option(min=1, help="Total number of steps. A larger number later continues.")
    ] = 4000
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 250
    seed: Annotated[int, typer.Option(min=0, help="Seed of new weights and of the batches.")] = 0
    precision: Annotated[
        TrainingPrecision,
        typer.Option(help="Precision of activations; auto is bf16 where the device is fast at it."),
    ] = TrainingPrecision.auto
    device: DeviceFlag = Device.auto
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that prepare examples. Default: none on a CPU, up to 4 with a GPU.",
            metavar="N",
        ),
    ] = None
    compile: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile transformer layers first (torch.compile): a minute, then faster steps.",
        ),
    ] = False
    quiet: Quiet = False

    def trainer_config(
        self,
        device: torch.device,
        learning_rate: float,
        weight_decay: float,
        betas: tuple[float, float],
        **options: Any,
    ) -> TrainingConfig:
        """The settings of the trainer. `betas` are the parameters of AdamW; `options` are what else
        the losses depend on, by name."""
        from jukebox_cli.train.data import num_workers_for
        from jukebox_cli.train.trainer import TrainingConfig

        return TrainingConfig(
            steps=self.steps,
            learning_rate=learning_rate,
            save_every=self.save_every,
            precision=self.precision.value,
            weight_decay=weight_decay,
            betas=betas,
            compile=self.compile,
            num_workers=num_workers_for(device, self.workers),
            options={"learning_rate": learning_rate, "seed": self.seed, **options},
        )


def run_training(task: Task, model: Model, config: TrainingConfig, quiet: bool) -> None:
    """Trains a part of a model with a progress bar and prints the path of its weights."""
    from jukebox_cli.train.allocator import keep_freed_memory
    from jukebox_cli.train.checkpoint import num_steps_done
    from jukebox_cli.train.trainer import train

    keep_freed_memory()
    steps = num_steps_done(model, task.component)
    if steps >= config.steps:
        done = f"it has been trained for {pluralize(steps, 'step')}"
        print_note(f"{task.component}: nothing to do: {done}; a larger --steps continues", quiet)
    _warn_of_changed_options(task.component, model, config, is_done=steps >= config.steps)
    with progress(quiet, "steps") as bar:
        metrics = train(task, model, config, _progress_callback(task.component, bar, quiet))
    figures = figures_text(metrics) or "no songs are held out"
    print_note(f"{task.component}: held out: {figures}", quiet)
    print(model.weights(task.exported_part))


@contextmanager
def training_lock(model: Model, component: str) -> Iterator[None]:
    """Lets one process train a part of a model. Raises InputError, and says which process does, if
    another one does."""
    lock = model.training_lock(component)
    if not lock.acquire():
        holder = lock.holder() or "another process"
        what = f"{component} of {model.path} is being trained by {holder}"
        raise InputError(what, "wait until it has ended, or train another level")
    try:
        yield
    finally:
        lock.release()


def _warn_of_changed_options(
    component: str, model: Model, config: TrainingConfig, is_done: bool
) -> None:
    """Warns of options that a training that is resumed was begun with others of."""
    from jukebox_cli.train.checkpoint import changed_options

    for name, before in changed_options(model, component, config.options).items():
        now = config.options[name]
        effect = f"{now} changes nothing" if is_done else f"from here on it is {now}"
        message = f"{component} was trained with {option_flag(name)} {before}: {effect}"
        warnings.warn(InputWarning(message), stacklevel=2)


def _progress_callback(
    component: str, bar: StartProgress, quiet: bool
) -> Callable[[TrainingProgress], None]:
    """A callback that advances the progress bar and prints a line for every logged step."""
    previous: int | None = None
    advance = None

    def on_progress(now: TrainingProgress) -> None:
        nonlocal previous, advance
        if previous is None or advance is None:
            previous, advance = now.first_step, bar(component, now.first_step, now.steps)
        advance(now.step - previous)
        previous = now.step
        print_note(
            f"{component} step {now.step}: loss {now.loss:.4f}, {figures_text(now.metrics)}", quiet
        )

    return on_progress


def figures_text(metrics: Mapping[str, float]) -> str:
    """Metrics as text: `bits 3.141, gradient 0.271`."""
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
