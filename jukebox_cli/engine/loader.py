"""From a model's folder to a prior and the engine that samples it, and to a codec."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from jukebox_cli.engine.choice import choose_engine
from jukebox_cli.engine.engines import Engine, TorchEngine
from jukebox_cli.engine.item_threads import ItemThreads
from jukebox_cli.engine.lookahead import Lookahead
from jukebox_cli.engine.native import NativeEngine
from jukebox_cli.engine.native_codec import NativeCodec
from jukebox_cli.engine.native_weights import NativePrior
from jukebox_cli.model.codec import Codec, TorchCodec
from jukebox_cli.model.loader import is_large, load_prior, load_prior_for_packing, load_vqvae
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
    model: Model,
    level: int,
    registry: Registry,
    device: torch.device,
    settings: ComputeSettings,
    item_threads: int = 1,
) -> LoadedPrior:
    """The prior of a level, on a device, with the engine of some settings.

    A position of a small prior on a CPU is computed by one thread: sharing its small products takes
    longer. The native engine shares out the items of a batch among `item_threads` instead.
    InputError if weights are missing or do not fit.
    """
    if settings.engine == "torch":
        prior = load_prior(model, level, registry, device, settings.precision)
        return LoadedPrior(prior, TorchEngine(prior), _num_threads(prior))
    prior = load_prior_for_packing(model, level, registry)
    num_threads = _num_threads(prior)
    lookahead = Lookahead() if is_large(prior) else None
    engine = NativeEngine(NativePrior(prior, settings.precision, num_threads), lookahead)
    share_items = item_threads > 1 and not is_large(prior)
    prior.transformer.to("meta")  # frees its weights
    return LoadedPrior(
        prior, ItemThreads(engine, item_threads) if share_items else engine, num_threads
    )


def _num_threads(prior: Prior) -> int:
    return torch.get_num_threads() if is_large(prior) else 1


def load_codec(
    model: Model, device: torch.device, engine: str = "auto", num_threads: int | None = None
) -> Codec:
    """The codec of a model with an engine: auto, native or torch.

    num_threads: that the native engine computes with; by default as many as there are cores.
    InputError if weights are missing or do not fit, or for an engine that is not possible.
    """
    engine, vqvae = choose_engine(device, engine), load_vqvae(model, device)
    if engine == "native":
        return NativeCodec(vqvae, num_threads or available_cores())
    return TorchCodec(vqvae)


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
