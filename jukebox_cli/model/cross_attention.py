"""Cross-attention from the music to a memory, e.g. the lyrics (paper, "Lyrics conditioning").

Shapes: B batch, T positions, S memory positions, W width, A attention width, H heads,
D = A / H channels of a head.
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jukebox_cli.model.attention import MultiHeadAttention
from jukebox_cli.model.kv_cache import CrossAttentionCache, Position, select_position
from jukebox_cli.model.linear import BatchInvariantLinear


class Memory(NamedTuple):
    """The sequence that cross-attention layers attend to."""

    states: Tensor  # (B, S, W)
    mask: Tensor | None = None  # (B, S) bool, True: attend; None: attend to all
    query_encoding: Tensor | None = None  # (B, T, W), added to the queries' input
    #: Where the first head of each layer should attend in training: (B, T, S), non-negative. The
    #: sum over S is the weight of a position's loss; zeros leave the position alone.
    attention_target: Tensor | None = None
    #: Each layer appends its attention target loss (), in bits per position.
    attention_losses: list[Tensor] | None = None

    def item(self, item: int) -> Memory:
        """The memory of one item, with a batch axis of 1 and without training targets."""
        of_item = slice(item, item + 1)
        mask, encoding = (
            None if x is None else x[of_item] for x in (self.mask, self.query_encoding)
        )
        return Memory(self.states[of_item], mask, encoding)

    def add_query_encoding(self, x: Tensor) -> Tensor:
        """`x` (B, T, W) plus the query encoding, if any.

        Positions past its end, which fill up the last row, get none.
        """
        if self.query_encoding is None:
            return x
        encoding = self.query_encoding[:, : x.shape[1]]
        return x + F.pad(encoding, (0, 0, 0, x.shape[1] - encoding.shape[1]))


class CrossAttention(MultiHeadAttention):
    """Encoder-decoder attention: every position attends to the whole memory (Vaswani et al. 2017,
    section 3.2.3)."""

    pattern = "cross_attention"

    def __init__(self, width: int, attention_width: int, heads: int, out_std: float) -> None:
        super().__init__(attention_width, heads)
        self.query = BatchInvariantLinear(width, attention_width)
        self.key_value = BatchInvariantLinear(width, 2 * attention_width)
        self.out = BatchInvariantLinear(attention_width, width, out_std)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        q, (k, v) = self._queries(x, memory), self._keys_values(memory)
        if memory.attention_target is not None and memory.attention_losses is not None:
            memory.attention_losses.append(
                self._attention_target_loss(q, k, memory.attention_target, memory.mask)
            )
        if memory.mask is None:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = self.attention_weights(q, k, memory.mask[:, None, None]) @ v
        out: Tensor = self.out(self.merge_heads(mixed))
        return out

    def step(self, x: Tensor, n: Position, cache: CrossAttentionCache) -> Tensor:
        """The output at position `n` alone: (B, 1, W) -> (B, 1, W)."""
        x = x if cache.query_encoding is None else x + select_position(cache.query_encoding, n)
        q = self.split_heads(self.query.step(x)).flatten(0, 2)  # (B * H, D)
        return self.out.step(self.attend_one_position(q, cache.keys, cache.values, cache.mask))

    def make_cache(self, memory: Memory) -> CrossAttentionCache:
        """The keys and values of a memory, for `step`.

        Computed item by item, since a product over a batch may round differently for another batch.
        """
        per_item = [self._keys_values(memory.item(i)) for i in range(len(memory.states))]
        keys, values = (torch.cat(each).flatten(0, 1) for each in zip(*per_item, strict=True))
        mask = memory.mask
        mask = mask if mask is None else mask.repeat_interleave(self.heads, 0)[:, None]
        return CrossAttentionCache(keys, values, mask, memory.query_encoding)

    def memory_attention_weights(self, x: Tensor, memory: Memory) -> Tensor:
        """Attention weights from each position to each memory position: (B, H, T, S)."""
        mask = None if memory.mask is None else memory.mask[:, None, None]
        return self.attention_weights(self._queries(x, memory), self._keys_values(memory)[0], mask)

    def _attention_target_loss(
        self, q: Tensor, k: Tensor, target: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Cross-entropy () of the first head's attention weights against their target.

        In bits, the mean over batch and positions. Unlike the guided attention loss of Tachibana
        et al. (2018, section 4.1), which averages a penalty under the weights, it has a large
        gradient where a head is sure of a wrong place.
        """
        with torch.autocast(q.device.type, enabled=False):
            scores = q[:, 0].float() @ k[:, 0].float().transpose(1, 2) * self.scale
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)
        scores = scores[:, : target.shape[1]]  # the last row may be padded beyond the music
        log_weights = scores.log_softmax(2)
        return -(log_weights * target[:, : log_weights.shape[1]]).sum(2).mean() / log(2)

    def _queries(self, x: Tensor, memory: Memory) -> Tensor:  # (B, H, T, D)
        return self.split_heads(self.query(memory.add_query_encoding(x)))

    def _keys_values(self, memory: Memory) -> tuple[Tensor, Tensor]:  # (B, H, S, D)
        k, v = (self.split_heads(t) for t in self.key_value(memory.states).chunk(2, dim=2))
        return k, v
