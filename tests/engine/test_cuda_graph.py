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
from support.steps import step_pairs

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


@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("prompt", [0, 1, 9])
def test_steps_read_their_inputs_from_tensors(prompt: int, prefix_length: int) -> None:
    for logits, expected in step_pairs(ReplayedStep, prompt, prefix_length):
        torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)


@needs_cuda
@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("prompt", [0, 1, 9])
def test_steps_are_replayed_on_a_gpu(prompt: int, prefix_length: int) -> None:
    for logits, expected in step_pairs(CudaGraphStep, prompt, prefix_length, "cuda"):
        torch.testing.assert_close(logits, expected, atol=1e-3, rtol=1e-3)
