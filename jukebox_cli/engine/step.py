"""The choice of how a window's steps are computed.

Shapes: B batch, K codes of the codebook, V characters of the prefix's vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from jukebox_cli.engine.cuda_graph import CudaGraphStep
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.kv_cache import LayerCache
from jukebox_cli.model.prior import Prior

#: The token before a position (B,) and the position -> logits (B, K + V). The next call may
#: overwrite the result.
StepFunction = Callable[[Tensor, int], Tensor]
#: The steps of one window, from its conditions and caches.
StepFactory = Callable[[Prior, Conditioning, Sequence[LayerCache]], StepFunction]


def make_step(prior: Prior, conditions: Conditioning, caches: Sequence[LayerCache]) -> StepFunction:
    """The steps of one window: `Prior.step`, recorded as a CUDA graph on a GPU.

    The tensors of the conditions and caches must stay where they are in memory.
    """
    if prior.position_embedding.device.type == "cuda":
        return CudaGraphStep(prior, conditions, caches)
    return partial(_plain_step, prior, conditions, caches)


def _plain_step(
    prior: Prior, conditions: Conditioning, caches: Sequence[LayerCache], last: Tensor, n: int
) -> Tensor:
    return prior.step(last, n, conditions, caches)
