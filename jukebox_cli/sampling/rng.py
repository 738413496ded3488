"""Drawing tokens: a token is a pure function of its logits and one uniform number.

That number depends on the seed, the item, the level and the position alone (a counter-based
generator: Philox, Salmon et al. 2011). So what is drawn does not depend on batch size, on which
items are asked for, on stopping and going on, or on which machine draws which part.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_WORDS = 4  # 64-bit numbers one Philox counter gives


def uniform_numbers(seed: int, item: int, level: int, first: int, end: int) -> np.ndarray:
    """The uniform numbers in [0, 1) of positions first .. end - 1: float64 (end - first,)."""
    block = first // _WORDS
    generator = np.random.Philox(key=[seed, _STREAM], counter=[block, level, item, 0])
    raw = generator.random_raw(end - block * _WORDS)[first - block * _WORDS :]
    return (raw >> np.uint64(11)) * 2.0**-53


_STREAM = 0x6A756B65626F78  # sets these numbers apart from any other use of the same seed


def draw_tokens(logits: Tensor, uniform: Tensor) -> Tensor:
    """Tokens (B,) from logits (B, bins) by inverting the CDF at `uniform` (B,).

    No device sync. A token of probability zero is never drawn.
    """
    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    mass = torch.softmax(logits.float(), dim=-1).to(wide).cumsum(dim=-1)  # (B, bins)
    target = uniform[:, None].to(wide) * mass[:, -1:]
    token = torch.searchsorted(mass, target, right=True)[:, 0]
    # rounding may leave the target on the very end; step back onto the last token with mass
    last = torch.searchsorted(mass, mass[:, -1:].contiguous(), right=False)[:, 0]
    # of NaN, which `sampler_calls` reports later, some token; one past the end would stop a GPU
    return torch.minimum(token, last).clamp_max(logits.shape[-1] - 1)
