"""From a model's folder to a prior and the engine that samples it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from jukebox_cli.engine.engines import Engine, TorchEngine
from jukebox_cli.engine.native import NativeEngine, NativePrior
from jukebox_cli.model.loader import is_large, load_prior, load_prior_for_packing
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import ComputeSettings


@dataclass(frozen=True)
class LoadedPrior:
    """A prior that is ready to sample. With the native engine the prior computes the conditions
    only: its transformer has no weights any more."""

    prior: Prior
    engine: Engine
    num_threads: int  # to compute a position with


def load_engine(
    model: Model, level: int, registry: Registry, device: torch.device, settings: ComputeSettings
) -> LoadedPrior:
    """The prior of a level, on a device, with the engine of some settings.

    A small prior on a CPU gets one thread: sharing its small products takes longer. InputError if
    weights are missing or do not fit.
    """
    if settings.engine == "torch":
        prior = load_prior(model, level, registry, device, settings.precision)
        return LoadedPrior(prior, TorchEngine(prior), _num_threads(prior))
    prior = load_prior_for_packing(model, level, registry)
    num_threads = _num_threads(prior)
    engine = NativeEngine(NativePrior(prior, settings.precision, num_threads))
    prior.transformer.to("meta")  # frees them
    return LoadedPrior(prior, engine, num_threads)


def _num_threads(prior: Prior) -> int:
    return torch.get_num_threads() if is_large(prior) else 1


def available_cores() -> int:
    """How many cores this process may use; OMP_NUM_THREADS can make it fewer."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdecimal() else cores


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Gives torch so many threads on this thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
