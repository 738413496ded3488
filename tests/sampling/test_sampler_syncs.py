"""Sampling a position reads no value of a tensor, and brings none to the device: on a GPU each
would wait until all that was computed before is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from jukebox_plugins.samplers import Greedy, Guidance, MinP, Temperature, TopK, TopP
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from jukebox_cli.engine.cuda_graph import CudaGraphStep
from jukebox_cli.engine.engines import TorchEngine
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.model.conditioning import stack_conditionings
from jukebox_cli.sampling.rng import draw_tokens
from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    WindowSampler,
)
from jukebox_cli.sampling.sampler_calls import LogitMaxima, apply_samplers
from jukebox_cli.sampling.windows import TokenWindow
from support.interruptions import Conditions
from support.networks import CONTEXT, conditions_on, make_full_prior, random_conditions

META = torch.device("meta")
#: What reads values of a tensor, or makes a tensor of numbers in Python.
SYNCS = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "lift_fresh", "masked_select"}
GUIDANCE = Guidance(guidance=2.0)
SAMPLERS: tuple[Sampler, ...] = (
    GUIDANCE,
    Temperature(temperature=0.9),
    TopK(top_k=5),
    TopP(top_p=0.9),
    MinP(min_p=0.01),
)


class SyncCounter(TorchDispatchMode):
    """Counts operations that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in SYNCS or (name == "_to_copy" and (kwargs or {}).get("device") is not None):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def syncs_of(samplers: tuple[Sampler, ...], num_positions: int) -> list[str]:
    """Of sampling so many positions of a window, and of what comes before and after them."""
    prior = make_full_prior(prefix_length=8)
    level = LevelSampler(0, prior, samplers, TorchEngine(prior))
    window, rows = TokenWindow(0, 3, 3 + num_positions), level.num_rows(2)
    conditions = stack_conditionings(random_conditions(prior, rows))
    items = [PartialTokens(item, 0, np.zeros(CONTEXT, np.int64), 3) for item in range(2)]
    sampler = WindowSampler(level, items, window, Conditions(lambda window: conditions))
    with torch.inference_mode(), SyncCounter() as counter:
        sampler.run(ProgressCallbacks(every=1, save_interval=3600.0))
    assert all(item.num_done == window.end for item in items)
    return counter.names


@pytest.mark.parametrize("samplers", [(), SAMPLERS, (Greedy(greedy=True),)])
def test_values_are_read_once_a_window_however_long_it_is(samplers: tuple[Sampler, ...]) -> None:
    found = syncs_of(samplers, 2)
    assert found  # what is sampled is checked and stored
    assert syncs_of(samplers, 12) == found


def test_a_sampler_that_reads_a_value_is_noticed() -> None:
    class Reading(Temperature):  # type: ignore[misc]
        def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
            return logits / float(logits[0, 0].abs() + 1)

    reading = (Reading(temperature=1.0),)
    assert len(syncs_of(reading, 12)) == len(syncs_of(reading, 2)) + 10


class RepeatedStep(CudaGraphStep):
    """Computes anew what a graph would replay."""

    def _record(self) -> Any:
        class Replay:
            def replay(replay) -> None:
                self.logits = self._step()

        return Replay()


@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 8])
def test_recorded_steps_and_draws_need_nothing_of_the_cpu(prefix_length: int) -> None:
    prior = make_full_prior(prefix_length=prefix_length)
    conditions = conditions_on(META, stack_conditionings(random_conditions(prior, 4)))
    prior.to(META)  # without values: reading one is an error, and so is a tensor of the CPU
    caches = prior.make_caches(4, conditions)
    step = RepeatedStep(prior, conditions, caches)
    tokens = torch.zeros(2, CONTEXT, dtype=torch.int64, device=META)
    uniform = torch.zeros(2, CONTEXT, dtype=torch.float64, device=META)
    maxima = LogitMaxima(2, CONTEXT, META)
    with SyncCounter() as counter:
        for n in range(1, 4):
            logits = step(torch.cat([tokens[:, n - 1]] * 2), n)
            logits = apply_samplers(SAMPLERS, [GUIDANCE], logits, tokens[:, :n])
            maxima.record(n, logits)
            tokens[:, n] = draw_tokens(logits, uniform[:, n])
    assert counter.names == []
