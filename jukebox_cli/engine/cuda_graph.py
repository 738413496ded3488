"""A prior, position after position of one window. On a GPU a step is recorded once and replayed:
to launch its hundreds of small kernels one by one takes far longer than they run.

Shapes: B batch, K bins and letters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.kv_cache import LayerCache
from jukebox_cli.model.prior import Prior

#: The token before it (B,) and a position -> its logits (B, K), which the next step may overwrite.
StepFunction = Callable[[Tensor, int], Tensor]


def make_step(prior: Prior, conditions: Conditioning, caches: Sequence[LayerCache]) -> StepFunction:
    """The steps of a window; its caches must stay where they are."""
    if prior.position_embedding.device.type == "cuda":
        return CudaGraphStep(prior, conditions, caches)
    return lambda last, n: prior.step(last, n, conditions, caches)


class CudaGraphStep:
    """`Prior.step` as a CUDA graph, which begins with the second position: the first is special."""

    def __init__(
        self, prior: Prior, conditions: Conditioning, caches: Sequence[LayerCache]
    ) -> None:
        self.prior, self.conditions, self.caches = prior, conditions, caches
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, last: Tensor, n: int) -> Tensor:
        if n == 0:
            return self.prior.step(last, n, self.conditions, self.caches)
        if self.graph is None:
            self.graph = self._record(last, n)
        self.last.copy_(last)
        self.n.fill_(n)
        self.graph.replay()
        return self.logits

    def _record(self, last: Tensor, n: int) -> torch.cuda.CUDAGraph:
        """Once for real, since what a library does at first can't be recorded, then for the graph.
        Whatever they write, the replay of the same position writes again."""
        self.last, self.n = last.clone(), torch.tensor([n], device=last.device)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self._step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.logits = self._step()
        return graph

    def _step(self) -> Tensor:
        return self.prior.step_at(self.last, self.n, self.conditions, self.caches)
