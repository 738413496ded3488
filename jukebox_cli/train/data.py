"""What the steps learn from, prepared beside the training, so that a GPU need not wait for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from jukebox_cli.interfaces.errors import InputError

#: What step n learns from, on the CPU: a function of n alone, which can be sent to processes.
BatchSource = Callable[[int], Any]


def num_workers_for(device: torch.device, asked: int | None = None) -> int:
    """How many processes prepare examples: on a CPU none, as the training has all its cores."""
    if asked is not None:
        return asked
    return 0 if device.type == "cpu" else min(4, os.cpu_count() or 1)


def iterate_batches(
    source: BatchSource, steps: range, workers: int, device: torch.device
) -> Iterator[Any]:
    """What each step learns from, as tensors on the CPU and in order, whoever prepared it."""
    loader: DataLoader[Any] = DataLoader(
        _Steps(source),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
        worker_init_fn=_ignore_signals,
        generator=torch.Generator(),  # else it would draw from the one for weights
    )
    for batch in _with_worker_errors(loader):
        if isinstance(batch, InputError):
            raise batch
        yield batch


def _with_worker_errors(loader: Iterable[Any]) -> Iterator[Any]:
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        what = "a process that prepares examples was killed, as if short of (shared) memory"
        raise InputError(what, "train with --workers 0, or with a smaller --batch") from error


class _Steps(Dataset[Any]):
    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def __getitem__(self, step: int) -> Any:
        try:
            return self.source(step)
        except InputError as error:  # raised, it would come wrapped in a traceback
            return error


def _ignore_signals(worker: int) -> None:
    """Those of a terminal or a cluster reach all processes of a job, and the training still has to
    finish its step and save; when it ends, these end too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
