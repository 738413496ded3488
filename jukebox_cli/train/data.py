"""Training batches, prepared by worker processes so that a GPU need not wait for them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.interfaces.signals import END_SIGNALS

#: Returns the batch of a step, on the CPU. A pure function of the step, and picklable.
BatchSource = Callable[[int], Any]

#: Batches that each worker prepares ahead of the training step.
PREFETCH_FACTOR = 4
#: More worker processes than this many per core only take memory, about 0.25 GB each.
MAX_WORKERS_PER_CORE = 4


def num_workers_for(device: torch.device, requested: int | None = None) -> int:
    """How many worker processes prepare batches: `requested`, or a default for the device.

    The default on a CPU is 0, since the training itself uses all cores, and up to 4 elsewhere.
    InputError for so many that the machine could run out of memory.
    """
    cores = os.cpu_count() or 1
    if requested is None:
        return 0 if device.type == "cpu" else min(4, cores)
    if requested > (limit := MAX_WORKERS_PER_CORE * cores):
        what = f"--workers {requested} is too many for {cores} cores"
        raise InputError(what, f"use at most {limit}")
    return requested


def iterate_batches(
    source: BatchSource, steps: range, num_workers: int, device: torch.device
) -> Iterator[Any]:
    """The batch of each step, in order, as CPU tensors; pinned where they will go to a GPU.

    The batches do not depend on `num_workers`. Raises InputError if a batch can't be read or a
    worker process dies.
    """
    loader: DataLoader[Any] = DataLoader(
        _StepDataset(source),
        batch_size=None,
        sampler=steps,
        num_workers=num_workers,
        prefetch_factor=PREFETCH_FACTOR if num_workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_ignore_signals,
        generator=torch.Generator(),  # without one, it would advance the global generator
    )
    for batch in _with_worker_errors(loader):
        if isinstance(batch, InputError):
            raise batch
        yield batch


def _with_worker_errors(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches; InputError instead of RuntimeError if a worker process dies."""
    try:
        yield from batches
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        message = "a worker process that prepares batches was killed; it may have run out of memory"
        hint = "train with --workers 0, or with a smaller --batch"
        raise InputError(message, hint) from error


class _StepDataset(Dataset[Any]):
    """A dataset whose example `step` is the whole batch of that step."""

    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def __getitem__(self, step: int) -> Any:
        try:
            return self.source(step)
        except InputError as error:  # raised in a worker, it would arrive inside a traceback
            return error


def _ignore_signals(worker: int) -> None:
    """Ignore signals to end: a terminal or a cluster sends them to all processes of a job, but
    the trainer still needs batches to finish its step. Workers stop when the trainer does."""
    for number in END_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
