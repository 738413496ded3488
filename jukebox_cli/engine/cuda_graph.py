"""The steps of a window as a CUDA graph.

A step launches hundreds of small kernels, and launching them one by one takes far longer than they
run. So one step is recorded as a graph and replayed at every other position, which launches all of
them at once. A graph has fixed tensors: the position and the last token are read from tensors that
are overwritten before each replay, which is why `Prior.step_batch` accepts a position as a tensor.

Shapes: B batch, K codes of the codebook, V characters of the prefix's vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import torch
from torch import Tensor

from jukebox_cli.engine.fused_step import choose_transformer_step
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.kv_cache import LayerCache
from jukebox_cli.model.prior import Prior

#: Held while a graph is recorded: that begins by waiting for the device, which would end the
#: recording of another thread.
_RECORDING = Lock()


class CudaGraphStep:
    """`Prior.step` for one window: `step(last, n)` -> logits (B, K + V).

    The result is overwritten by the next call. Position 0 has no previous token and is computed
    without the graph; the graph is recorded at the first other position.
    """

    def __init__(
        self, prior: Prior, conditions: Conditioning, caches: Sequence[LayerCache]
    ) -> None:
        self.prior, self.conditions, self.caches = prior, conditions, caches
        self.transformer_step = choose_transformer_step(prior)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.last: Tensor  # (B,), input of the graph
        self.n: Tensor  # (1,), input of the graph
        self.logits: Tensor  # (B, K + V), output of the graph

    def __call__(self, last: Tensor, n: int) -> Tensor:
        if n == 0:
            return self.prior.step(last, n, self.conditions, self.caches)
        if self.graph is None:
            self.last, self.n = last.clone(), torch.full((1,), n, device=last.device)
            self.graph = self._record()
        self.last.copy_(last)
        self.n.fill_(n)
        self.graph.replay()
        return self.logits

    def _record(self) -> torch.cuda.CUDAGraph:
        """Record a step at the current position.

        It is run once before, on another stream, because what libraries do at their first call
        can't be recorded. Both write the caches of this position, and so does its replay. Other
        threads, such as that of a decoder, may use the GPU meanwhile; only one may record.
        """
        with _RECORDING:
            return self._record_alone()

    def _record_alone(self) -> torch.cuda.CUDAGraph:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.logits = self._step()
        return graph

    def _step(self) -> Tensor:
        inputs = (self.last, self.n, self.conditions, self.caches)
        return self.prior.step_batch(*inputs, self.transformer_step)
