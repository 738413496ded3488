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

from jukebox_cli.model.kv_cache import Cache, Layout, MemoryCache, Position, nth
from jukebox_cli.model.linear import UNIT, Linear, filled


class Memory(NamedTuple):
    """The other sequence that `memory` layers see."""

    states: Tensor  # (B, S, W)
    mask: Tensor | None = None  # (B, S), bool; True: look
    places: Tensor | None = None  # (B, T, W): joins what each position asks with
    #: where the first head of a layer is to look, in training, from a position of the music:
    #: (B, T, S), shares of what that counts
    guide: Tensor | None = None
    #: what that head paid in each layer, in bits per position, filled in as layers look
    paid: list[Tensor] | None = None

    def row(self, item: int) -> Memory:
        one = slice(item, item + 1)
        mask, places = (None if x is None else x[one] for x in (self.mask, self.places))
        return Memory(self.states[one], mask, places)

    def asking(self, x: Tensor) -> Tensor:
        """What (B, T, W) asks with; T may be more than there is music, to fill the last row."""
        if self.places is None:
            return x
        places = self.places[:, : x.shape[1]]
        return x + F.pad(places, (0, 0, 0, x.shape[1] - places.shape[1]))


class Heads(nn.Module):
    """What all kinds of attention share: `heads` heads of `inner / heads` channels each."""

    def __init__(self, inner: int, heads: int) -> None:
        super().__init__()
        self.inner, self.heads = inner, heads
        self.scale = 1 / sqrt(inner // heads)

    def split(self, x: Tensor) -> Tensor:  # (B, T, A) -> (B, H, T, D)
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:  # (B, H, T, D) -> (B, T, A)
        return x.transpose(1, 2).flatten(2)

    def weights(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
        """Softmax of (B, H, T, D) over (B, H, S, D): (B, H, T, S); zeros where all is masked."""
        scores = q @ k.transpose(2, 3) * self.scale
        if mask is None:
            return scores.softmax(-1)
        return scores.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num()

    def mix_one(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """One position of each item: q (B * H, D), k and v (B * H, S, D) -> (B, 1, A).

        Not with the fused kernel: that one splits the work by batch and threads, and rounds with
        it.
        """
        head = q.shape[1]
        if head % UNIT:
            q, k, v = filled(q, 1), filled(k, 1), filled(v, 1)
        scores = torch.bmm(q.unsqueeze(1) * self.scale, k.transpose(1, 2))
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        shares = torch.softmax(scores, dim=-1)
        shares = shares if mask is None else shares.nan_to_num()
        return torch.bmm(shares, v)[..., :head].reshape(-1, 1, self.inner)


class Attention(Heads):
    """Self-attention with one of the patterns (see `config.PATTERNS`)."""

    def __init__(
        self, pattern: str, layout: Layout, width: int, inner: int, heads: int, out_std: float
    ) -> None:
        super().__init__(inner, heads)
        self.pattern, self.layout = pattern, layout
        self.project = Linear(width, 3 * inner)
        self.out = Linear(inner, width, out_std)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        """(B, T, W) -> (B, T, W) for the first T positions; T must be whole rows.

        With a cache, its content becomes that of the first `T` positions.
        """
        q, k, v = (self.split(t) for t in self.project(x).chunk(3, dim=2))  # (B, H, T, D)
        if cache is not None:
            cache.fill(k.flatten(0, 1), v.flatten(0, 1))
        mixed: Tensor = self.out(self.merge(self._attend(q, k, v)))
        return mixed

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        columns = self.layout.columns
        if self.pattern == "dense":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if self.pattern == "prefix":
            first = self.layout.first
            mask = allowed("prefix", self.layout, q.shape[2])[:, :first].to(q.device)
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

    def step(self, x: Tensor, n: Position, cache: Cache) -> Tensor:
        """The same for position n alone: (B, 1, W) -> (B, 1, W)."""
        q, k, v = self.project.step(x).view(x.shape[0], 3, self.heads, -1).unbind(1)
        q, k, v = (t.flatten(0, 1) for t in (q, k, v))  # (B * H, D)
        cache.put(n, k, v)
        return self.out.step(self.mix_one(q, *cache.seen(n)))

    def to_prefix(self, x: Tensor) -> Tensor:
        """How much each position of the music looks at each of the prefix: (B, H, T - P, P)."""
        q, k, _ = (self.split(t) for t in self.project(x).chunk(3, dim=2))
        prefix, first = self.layout.prefix, self.layout.first
        mask = allowed("prefix", self.layout, x.shape[1])[:, :first].to(x.device)
        return self.weights(q, k[:, :, :first], mask)[:, :, prefix:, :prefix]


class MemoryAttention(Heads):
    """Attention to another sequence, the same at every position (Vaswani et al. 2017, 3.2.3)."""

    pattern = "memory"

    def __init__(self, width: int, inner: int, heads: int, out_std: float) -> None:
        super().__init__(inner, heads)
        self.query = Linear(width, inner)
        self.project = Linear(width, 2 * inner)
        self.out = Linear(inner, width, out_std)

    def forward(self, x: Tensor, memory: Memory) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        q, (k, v) = self.split(self.query(memory.asking(x))), self._seen(memory)
        if memory.guide is not None and memory.paid is not None:
            memory.paid.append(self._paid(q, k, memory.guide, memory.mask))
        if memory.mask is None:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = self.weights(q, k, memory.mask[:, None, None]) @ v
        out: Tensor = self.out(self.merge(mixed))
        return out

    def step(self, x: Tensor, n: Position, cache: MemoryCache) -> Tensor:
        """The same for position n alone: (B, 1, W) -> (B, 1, W)."""
        x = x if cache.places is None else x + nth(cache.places, n)
        q = self.split(self.query.step(x)).flatten(0, 2)  # (B * H, D)
        return self.out.step(self.mix_one(q, cache.keys, cache.values, cache.mask))

    def cache(self, memory: Memory) -> MemoryCache:
        """Item by item, as a product over a batch may round differently for another batch."""
        seen = [self._seen(memory.row(i)) for i in range(len(memory.states))]
        keys, values = (torch.cat(each).flatten(0, 1) for each in zip(*seen, strict=True))
        mask = memory.mask
        mask = mask if mask is None else mask.repeat_interleave(self.heads, 0)[:, None]
        return MemoryCache(keys, values, mask, memory.places)

    def to_memory(self, x: Tensor, memory: Memory) -> Tensor:
        """How much each position looks at each of the memory: (B, H, T, S)."""
        mask = None if memory.mask is None else memory.mask[:, None, None]
        return self.weights(self.split(self.query(memory.asking(x))), self._seen(memory)[0], mask)

    def _paid(self, q: Tensor, k: Tensor, guide: Tensor, mask: Tensor | None) -> Tensor:
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

    def _seen(self, memory: Memory) -> tuple[Tensor, Tensor]:  # (B, H, S, D)
        k, v = (self.split(t) for t in self.project(memory.states).chunk(2, dim=2))
        return k, v


def allowed(pattern: str, layout: Layout, total: int) -> Tensor:
    """(T, T) bool: which positions (columns) each position (row) attends to."""
    n = torch.arange(total)
    row, column = n // layout.columns, n % layout.columns
    past = n[None] <= n[:, None]
    return {
        "row": past & (row[None] == row[:, None]),
        "column": past & (column[None] == column[:, None]),
        "previous": row[None] == row[:, None] - 1,
        "dense": past,
        "prefix": past & (n[None] < layout.first),
    }[pattern]


def naive_attention(attention: Attention, x: Tensor) -> Tensor:
    """What `attention(x)` must equal, as one masked softmax: slow, and easy to see through."""
    q, k, v = (attention.split(t) for t in attention.project(x).chunk(3, dim=2))
    mask = allowed(attention.pattern, attention.layout, x.shape[1]).to(x.device)
    scores = (q @ k.transpose(2, 3) * attention.scale).masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1).nan_to_num()  # a row that sees nothing sees zeros
    out: Tensor = attention.out(attention.merge(weights @ v))
    return out
