"""Random numbers: a token is a pure function of its logits and one uniform number.

That number depends only on the seed, the item, the level and the position (a counter-based
generator: Philox, Salmon et al. 2011). So what is sampled does not depend on the batch size, on
which items are sampled together, on interruptions, or on which machine samples which part.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: 64-bit numbers per value of the Philox counter.
_WORDS_PER_BLOCK = 4
#: Second half of the key: sets these numbers apart from any other use of the same seed.
_STREAM = 0x6A756B65626F78


def uniform_numbers(seed: int, item: int, level: int, first: int, end: int) -> np.ndarray:
    """The uniform numbers in [0, 1) of positions `first` to `end` - 1: float64 (end - first,)."""
    block = first // _WORDS_PER_BLOCK
    generator = np.random.Philox(key=[seed, _STREAM], counter=[block, level, item, 0])
    skipped = first - block * _WORDS_PER_BLOCK
    words = generator.random_raw(end - first + skipped)[skipped:]
    return (words >> np.uint64(11)) * 2.0**-53


def draw_tokens(logits: Tensor, uniform: Tensor) -> Tensor:
    """Tokens (B,) from logits (B, K), by inverting the CDF at `uniform` (B,).

    Does not synchronise with the device. A token of probability zero is never drawn.
    """
    dtype = torch.float32 if logits.device.type == "mps" else torch.float64
    cdf = torch.softmax(logits.float(), dim=-1).to(dtype).cumsum(dim=-1)  # (B, K)
    target = uniform[:, None].to(dtype) * cdf[:, -1:]
    token = torch.searchsorted(cdf, target, right=True)[:, 0]
    # rounding may leave the target at the very end; step back to the last token with probability
    last = torch.searchsorted(cdf, cdf[:, -1:].contiguous(), right=False)[:, 0]
    # of NaN, which `sampler_calls` reports later, some token; one past the end would stop a GPU
    return torch.minimum(token, last).clamp_max(logits.shape[-1] - 1)
