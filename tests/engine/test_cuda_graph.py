"""Steps replayed from a CUDA graph are those of the reference.

On a CPU the graph is replaced by a stand-in that, as a graph does, computes the same operations
again from its input tensors into its output tensor. tests/test_gpu.py compares the logits of
recorded steps with those of the original program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jukebox_cli.engine.cuda_graph import CudaGraphStep
from jukebox_cli.model.conditioning import stack_conditionings
from support.networks import (
    CONTEXT,
    conditions_on,
    make_full_prior,
    random_conditions,
    random_tokens,
)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


class ReplayedStep(CudaGraphStep):
    """Records by keeping the function instead of its kernels."""

    def _record(self) -> Any:
        self.logits = self._step()
        return Replay(self._step, self.logits)


class Replay:
    def __init__(self, compute: Callable[[], Tensor], output: Tensor) -> None:
        self.compute, self.output = compute, output

    def replay(self) -> None:
        self.output.copy_(self.compute())


def compare_with_reference(
    step_class: type[CudaGraphStep], device: torch.device, prompt: int, prefix_length: int
) -> None:
    prior = make_full_prior(prefix_length=prefix_length).to(device)
    tokens = random_tokens(3).to(device)
    conditions = stack_conditionings(random_conditions(prior, 3))
    conditions = conditions_on(device, conditions)
    caches, expected_caches = (prior.make_caches(3, conditions) for _ in range(2))
    for each in (caches, expected_caches):
        prior.prefill(tokens[:, :prompt], conditions, each)
    step = step_class(prior, conditions, caches)
    for n in range(prompt, CONTEXT):
        expected = prior.step(tokens[:, n - 1], n, conditions, expected_caches)
        torch.testing.assert_close(step(tokens[:, n - 1], n), expected, atol=1e-4, rtol=0)


@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("prompt", [0, 1, 9])
def test_steps_read_their_inputs_from_tensors(prompt: int, prefix_length: int) -> None:
    compare_with_reference(ReplayedStep, torch.device("cpu"), prompt, prefix_length)


@needs_cuda
@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("prompt", [0, 1, 9])
def test_steps_are_replayed_on_a_gpu(prompt: int, prefix_length: int) -> None:
    compare_with_reference(CudaGraphStep, torch.device("cuda"), prompt, prefix_length)
