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

from typing import NamedTuple

import torch
from torch import Tensor


class Layout(NamedTuple):
    """How a sequence is folded into rows, and how much of it goes before the music."""

    rows: int
    columns: int
    prefix_length: int = 0

    @property
    def prefix_span(self) -> int:
        """Positions that `prefix` layers see: as many rounds of `blocks` as exceed the prefix."""
        return min((self.prefix_length // self.rows + 1) * self.rows, self.rows * self.columns)


#: A position, or where it can be read.
Position = int | Tensor


class KeysValues(NamedTuple):
    """What a position attends to."""

    keys: Tensor  # (B * H, S, D)
    values: Tensor
    mask: Tensor | None = None  # (S,)


class KVCache:
    """Keys and values of one layer, allocated once and only as large as its pattern needs."""

    def __init__(self, pattern: str, layout: Layout, rows: int, head: int, like: Tensor) -> None:
        self.pattern, self.layout = pattern, layout
        blocks, columns = layout.rows, layout.columns
        shape = {
            "row": (columns,),
            "column": (columns, blocks),
            "previous": (2, columns),
            "dense": (columns * blocks,),
            "prefix": (layout.prefix_span,),
        }[pattern]
        # rows is B * H, so that attention is one batched product
        self.keys = like.new_zeros(rows, *shape, head)
        self.values = like.new_zeros(rows, *shape, head)

    def for_item(self, item: int, heads: int) -> KVCache:
        """The part of one item of the batch, in the same memory."""
        part = object.__new__(KVCache)
        part.pattern, part.layout = self.pattern, self.layout
        rows = slice(item * heads, (item + 1) * heads)
        part.keys, part.values = self.keys[rows], self.values[rows]
        return part

    def write(self, n: Position, keys: Tensor, values: Tensor) -> None:
        """Keeps the keys and values (B * H, D) of position n."""
        slot = self._slot(n)
        for kept, new in ((self.keys, keys), (self.values, values)):
            slots = kept.flatten(1, -2)
            if isinstance(slot, Tensor):
                self._write_at(slot, slots, new)
            elif slot < slots.shape[1]:  # what is after a prefix is not kept
                slots[:, slot] = new

    def _slot(self, n: Position) -> Position:
        """Which of the places for keys is that of position n."""
        blocks, columns = self.layout.rows, self.layout.columns
        if self.pattern == "row":
            return n % columns
        if self.pattern == "column":
            return n % columns * blocks + n // columns
        return n % (2 * columns) if self.pattern == "previous" else n

    def _write_at(self, slot: Tensor, slots: Tensor, new: Tensor) -> None:
        new = new[:, None]
        if self.pattern == "prefix":  # what is after it changes nothing
            last = slot.clamp_max(slots.shape[1] - 1)
            new, slot = torch.where(slot == last, new, slots.index_select(1, last)), last
        slots.index_copy_(1, slot, new)

    def read(self, n: Position) -> KeysValues:
        """The keys and values that position n attends to."""
        if isinstance(n, Tensor):
            return self._read_at(n)
        row, column = divmod(n, self.layout.columns)
        place: tuple[int | slice, ...] = {
            "row": (slice(column + 1),),
            "column": (column, slice(row + 1)),
            "previous": ((row + 1) % 2,),
            "dense": (slice(n + 1),),
            "prefix": (slice(n + 1),),
        }[self.pattern]
        at = (slice(None), *place)
        return KeysValues(self.keys[at], self.values[at])

    def _read_at(self, n: Tensor) -> KeysValues:
        row, column = n // self.layout.columns, n % self.layout.columns
        keys, values = self.keys, self.values
        if self.pattern in ("column", "previous"):
            part = column if self.pattern == "column" else (row + 1) % 2
            keys, values = (t.index_select(1, part)[:, 0] for t in (keys, values))
        if self.pattern == "previous":
            return KeysValues(keys, values)
        last = {"row": column, "column": row}.get(self.pattern, n)
        return KeysValues(keys, values, torch.arange(keys.shape[1], device=n.device) <= last)

    def prefill(self, keys: Tensor, values: Tensor) -> None:
        """`put` for the positions from 0 on: (B * H, T, D). Rows that fell out are skipped."""
        total, columns = keys.shape[1], self.layout.columns
        if self.pattern in ("dense", "prefix"):
            there = min(total, self.keys.shape[1])
            self.keys[:, :there], self.values[:, :there] = keys[:, :there], values[:, :there]
            return
        kept = {"row": 1, "previous": 2, "column": self.layout.rows}[self.pattern]
        first = max(0, (total - 1) // columns - kept + 1) * columns
        for n in range(first, total, columns):
            row, width = n // columns, min(columns, total - n)
            here: tuple[int | slice, ...] = {
                "row": (slice(width),),
                "column": (slice(width), row),
                "previous": (row % 2, slice(width)),
            }[self.pattern]
            at = (slice(None), *here)
            self.keys[at], self.values[at] = keys[:, n : n + width], values[:, n : n + width]


class CrossAttentionCache(NamedTuple):
    """Keys and values of a memory, which are the same at every position."""

    keys: Tensor  # (B * H, S, D)
    values: Tensor
    mask: Tensor | None = None  # (B * H, 1, S)
    query_encoding: Tensor | None = None  # (B, T, W)

    def for_item(self, item: int, heads: int) -> CrossAttentionCache:
        """The part of one item of the batch."""
        rows = slice(item * heads, (item + 1) * heads)
        mask = None if self.mask is None else self.mask[rows]
        places = None if self.query_encoding is None else self.query_encoding[item : item + 1]
        return CrossAttentionCache(self.keys[rows], self.values[rows], mask, places)


LayerCache = KVCache | CrossAttentionCache


def select_position(x: Tensor, n: Position) -> Tensor:
    """Position n of (B, T, W): (B, 1, W)."""
    return x.index_select(1, n) if isinstance(n, Tensor) else x[:, n : n + 1]
