"""Factored attention (paper, appendix A; Child et al. 2019) over a sequence laid out in rows.

The n positions stand in `blocks` rows of `columns`. A layer sees, for the position at (r, c):
`row` those before it in row r, `column` those above it in column c, `previous` the whole of row
r - 1 (zeros above the first row), `dense` all before it, `prefix` those before it among the first
ones, which hold what goes before the music. Each includes the position itself, but for
`previous`. A `memory` layer sees the whole of another sequence instead (Vaswani et al. 2017).

Three ways give the same numbers: `forward` (whole rows at once, for training), `step` (one
position, with a cache of only what the pattern needs), and `allowed` with `naive_attention` (a
plain masked softmax, for the tests). The position of a step may be a tensor (1,), so that the step
can be recorded once and replayed at any other.

Shapes: B batch, T positions, W width, A attention width, H heads, D = A / H, S memory positions.
"""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.model.kv_cache import (
    CrossAttentionCache,
    KVCache,
    Layout,
    Position,
    select_position,
)
from jukebox_cli.model.linear import PAD_MULTIPLE, BatchInvariantLinear, pad_to_multiple


class Memory(NamedTuple):
    """The other sequence that `memory` layers see."""

    states: Tensor  # (B, S, W)
    mask: Tensor | None = None  # (B, S), bool; True: look
    query_encoding: Tensor | None = None  # (B, T, W): joins what each position asks with
    #: where the first head of a layer is to look, in training, from a position of the music:
    #: (B, T, S), shares of what that counts
    attention_target: Tensor | None = None
    #: what that head paid in each layer, in bits per position, filled in as layers look
    attention_losses: list[Tensor] | None = None

    def item(self, item: int) -> Memory:
        one = slice(item, item + 1)
        mask, places = (None if x is None else x[one] for x in (self.mask, self.query_encoding))
        return Memory(self.states[one], mask, places)

    def add_query_encoding(self, x: Tensor) -> Tensor:
        """What (B, T, W) asks with; T may be more than there is music, to fill the last row."""
        if self.query_encoding is None:
            return x
        places = self.query_encoding[:, : x.shape[1]]
        return x + F.pad(places, (0, 0, 0, x.shape[1] - places.shape[1]))


class MultiHead(nn.Module):
    """What all kinds of attention share: `heads` heads of `inner / heads` channels each."""

    def __init__(self, inner: int, heads: int) -> None:
        super().__init__()
        self.attention_width, self.heads = inner, heads
        self.scale = 1 / sqrt(inner // heads)

    def split_heads(self, x: Tensor) -> Tensor:  # (B, T, A) -> (B, H, T, D)
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:  # (B, H, T, D) -> (B, T, A)
        return x.transpose(1, 2).flatten(2)

    def attention_weights(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
        """Softmax of (B, H, T, D) over (B, H, S, D): (B, H, T, S); zeros where all is masked."""
        scores = q @ k.transpose(2, 3) * self.scale
        if mask is None:
            return scores.softmax(-1)
        return scores.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num()

    def attend_one_position(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """One position of each item: q (B * H, D), k and v (B * H, S, D) -> (B, 1, A).

        Not with the fused kernel: that one splits the work by batch and threads, and rounds with
        it.
        """
        head = q.shape[1]
        if head % PAD_MULTIPLE:
            q, k, v = pad_to_multiple(q, 1), pad_to_multiple(k, 1), pad_to_multiple(v, 1)
        scores = torch.bmm(q.unsqueeze(1) * self.scale, k.transpose(1, 2))
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        shares = torch.softmax(scores, dim=-1)
        shares = shares if mask is None else shares.nan_to_num()
        return torch.bmm(shares, v)[..., :head].reshape(-1, 1, self.attention_width)


class SelfAttention(MultiHead):
    """Self-attention with one of the patterns (see `config.PATTERNS`)."""

    def __init__(
        self, pattern: str, layout: Layout, width: int, inner: int, heads: int, out_std: float
    ) -> None:
        super().__init__(inner, heads)
        self.pattern, self.layout = pattern, layout
        self.qkv = BatchInvariantLinear(width, 3 * inner)
        self.out = BatchInvariantLinear(inner, width, out_std)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """(B, T, W) -> (B, T, W) for the first T positions; T must be whole rows.

        With a cache, its content becomes that of the first `T` positions.
        """
        q, k, v = (self.split_heads(t) for t in self.qkv(x).chunk(3, dim=2))  # (B, H, T, D)
        if cache is not None:
            cache.prefill(k.flatten(0, 1), v.flatten(0, 1))
        mixed: Tensor = self.out(self.merge_heads(self._attend(q, k, v)))
        return mixed

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        columns = self.layout.columns
        if self.pattern == "dense":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if self.pattern == "prefix":
            first = self.layout.prefix_span
            mask = attention_mask("prefix", self.layout, q.shape[2])[:, :first].to(q.device)
            k, v = k[:, :, :first], v[:, :, :first]
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        q, k, v = (t.unflatten(2, (-1, columns)) for t in (q, k, v))  # (B, H, rows, columns, D)
        if self.pattern == "row":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True).flatten(2, 3)
        if self.pattern == "column":
            q, k, v = (t.transpose(2, 3) for t in (q, k, v))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return mixed.transpose(2, 3).flatten(2, 3)
        k, v = (F.pad(t, (0, 0, 0, 0, 1, 0))[:, :, :-1] for t in (k, v))  # one row down
        return F.scaled_dot_product_attention(q, k, v).flatten(2, 3)

    def step(self, x: Tensor, n: Position, cache: KVCache) -> Tensor:
        """The same for position n alone: (B, 1, W) -> (B, 1, W)."""
        q, k, v = self.qkv.step(x).view(x.shape[0], 3, self.heads, -1).unbind(1)
        q, k, v = (t.flatten(0, 1) for t in (q, k, v))  # (B * H, D)
        cache.write(n, k, v)
        return self.out.step(self.attend_one_position(q, *cache.read(n)))

    def prefix_attention_weights(self, x: Tensor) -> Tensor:
        """How much each position of the music looks at each of the prefix: (B, H, T - P, P)."""
        q, k, _ = (self.split_heads(t) for t in self.qkv(x).chunk(3, dim=2))
        prefix, first = self.layout.prefix_length, self.layout.prefix_span
        mask = attention_mask("prefix", self.layout, x.shape[1])[:, :first].to(x.device)
        return self.attention_weights(q, k[:, :, :first], mask)[:, :, prefix:, :prefix]


class CrossAttention(MultiHead):
    """Attention to another sequence, the same at every position (Vaswani et al. 2017, 3.2.3)."""

    pattern = "cross_attention"

    def __init__(self, width: int, inner: int, heads: int, out_std: float) -> None:
        super().__init__(inner, heads)
        self.query = BatchInvariantLinear(width, inner)
        self.key_value = BatchInvariantLinear(width, 2 * inner)
        self.out = BatchInvariantLinear(inner, width, out_std)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        q, (k, v) = (
            self.split_heads(self.query(memory.add_query_encoding(x))),
            self._keys_values(memory),
        )
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
        """The same for position n alone: (B, 1, W) -> (B, 1, W)."""
        x = x if cache.query_encoding is None else x + select_position(cache.query_encoding, n)
        q = self.split_heads(self.query.step(x)).flatten(0, 2)  # (B * H, D)
        return self.out.step(self.attend_one_position(q, cache.keys, cache.values, cache.mask))

    def cache(self, memory: Memory) -> CrossAttentionCache:
        """Item by item, as a product over a batch may round differently for another batch."""
        seen = [self._keys_values(memory.item(i)) for i in range(len(memory.states))]
        keys, values = (torch.cat(each).flatten(0, 1) for each in zip(*seen, strict=True))
        mask = memory.mask
        mask = mask if mask is None else mask.repeat_interleave(self.heads, 0)[:, None]
        return CrossAttentionCache(keys, values, mask, memory.query_encoding)

    def memory_attention_weights(self, x: Tensor, memory: Memory) -> Tensor:
        """How much each position looks at each of the memory: (B, H, T, S)."""
        mask = None if memory.mask is None else memory.mask[:, None, None]
        return self.attention_weights(
            self.split_heads(self.query(memory.add_query_encoding(x))),
            self._keys_values(memory)[0],
            mask,
        )

    def _attention_target_loss(
        self, q: Tensor, k: Tensor, guide: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Cross-entropy of where the first head looks and where it is to look, in bits, the mean
        over the positions: (). Unlike what looking at wrong places would cost on the average, it
        has a gradient where a head is sure of a wrong one."""
        with torch.autocast(q.device.type, enabled=False):
            scores = q[:, 0].float() @ k[:, 0].float().transpose(1, 2) * self.scale
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)
        music = guide.shape[1]  # there may be positions to fill up the last row
        looks = scores[:, :music].log_softmax(2)
        return -(looks * guide[:, : looks.shape[1]]).sum(2).mean() / log(2)

    def _keys_values(self, memory: Memory) -> tuple[Tensor, Tensor]:  # (B, H, S, D)
        k, v = (self.split_heads(t) for t in self.key_value(memory.states).chunk(2, dim=2))
        return k, v


def attention_mask(pattern: str, layout: Layout, total: int) -> Tensor:
    """(T, T) bool: which positions (columns) each position (row) attends to."""
    n = torch.arange(total)
    row, column = n // layout.columns, n % layout.columns
    past = n[None] <= n[:, None]
    return {
        "row": past & (row[None] == row[:, None]),
        "column": past & (column[None] == column[:, None]),
        "previous": row[None] == row[:, None] - 1,
        "dense": past,
        "prefix": past & (n[None] < layout.prefix_span),
    }[pattern]


def naive_attention(attention: SelfAttention, x: Tensor) -> Tensor:
    """What `attention(x)` must equal, as one masked softmax: slow, and easy to see through."""
    q, k, v = (attention.split_heads(t) for t in attention.qkv(x).chunk(3, dim=2))
    mask = attention_mask(attention.pattern, attention.layout, x.shape[1]).to(x.device)
    scores = (q @ k.transpose(2, 3) * attention.scale).masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1).nan_to_num()  # a row that sees nothing sees zeros
    out: Tensor = attention.out(attention.merge_heads(weights @ v))
    return out
