"""Keys and values of earlier positions, kept between the steps of a window.

A layer's cache is allocated once and holds only the positions that its attention pattern can still
reach (the patterns are described in `attention`). All reads and writes work with the position as an
int, or as a tensor (1,) on the device, so that a step can be recorded as a CUDA graph.

Shapes: B batch, H heads, D channels of a head, T positions, S cached or memory positions, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

Number = TypeVar("Number", int, Tensor)


class Layout(NamedTuple):
    """How a sequence is folded into rows for factored attention, prefix included."""

    rows: int
    columns: int
    #: Positions before the music, e.g. of lyric characters.
    prefix_length: int = 0

    @property
    def prefix_span(self) -> int:
        """Positions that `prefix` layers attend to: the first multiple of `rows` that exceeds the
        prefix, at most all positions. It follows the original implementation."""
        return min((self.prefix_length // self.rows + 1) * self.rows, self.rows * self.columns)

    def cache_shape(self, pattern: str) -> tuple[int, ...]:
        """The axes of positions that a cache of an attention pattern has; see `KVCache`."""
        return {
            "row": (self.columns,),
            "column": (self.columns, self.rows),
            "previous": (2, self.columns),
            "dense": (self.columns * self.rows,),
            "prefix": (self.prefix_span,),
        }[pattern]


class DevicePosition:
    """A position in a tensor (1,) on the device, and what the caches of all layers derive from it,
    computed once for all layers of a pattern: on a GPU each small operation takes its time."""

    def __init__(self, n: Tensor, layout: Layout) -> None:
        self.n, self.layout = n, layout
        self._found: dict[tuple[str, str], Tensor] = {}

    def slot(self, pattern: str) -> Tensor:
        """Where a cache keeps the position (1,), among its flattened slots."""
        return self._once("slot", pattern, lambda: _slot(pattern, self.layout, self.n))

    def group(self, pattern: str) -> Tensor:
        """Which column of a `column` cache, or row of a `previous` one, the position sees (1,)."""
        columns = self.layout.columns
        if pattern == "column":
            return self._once("group", pattern, lambda: self.n % columns)
        return self._once("group", pattern, lambda: (self.n // columns + 1) % 2)

    def mask(self, pattern: str, size: int) -> Tensor:
        """Which of the `size` positions that a cache gives are seen: (size,) bool."""
        return self._once("mask", pattern, lambda: self._positions(size) <= self._last(pattern))

    def _positions(self, size: int) -> Tensor:
        return torch.arange(size, device=self.n.device)

    def _last(self, pattern: str) -> Tensor:
        columns = self.layout.columns
        return {"row": self.n % columns, "column": self.n // columns}.get(pattern, self.n)

    def _once(self, kind: str, pattern: str, compute: Callable[[], Tensor]) -> Tensor:
        if (kind, pattern) not in self._found:
            self._found[kind, pattern] = compute()
        return self._found[kind, pattern]


#: A position in the sequence: a number, or a tensor (1,) that holds it.
Position = int | Tensor | DevicePosition


def _slot(pattern: str, layout: Layout, n: Number) -> Number:
    """Index of position `n` along the flattened slots of a cache."""
    rows, columns = layout.rows, layout.columns
    if pattern == "row":
        return n % columns
    if pattern == "column":
        return n % columns * rows + n // columns
    return n % (2 * columns) if pattern == "previous" else n


class KeysValues(NamedTuple):
    """What one position attends to."""

    keys: Tensor  # (B * H, S, D)
    values: Tensor  # (B * H, S, D)
    mask: Tensor | None = None  # (S,) bool, True: attend; None: attend to all


class KVCache:
    """The keys and values of one self-attention layer.

    Batch and heads share one axis, so that attention is a single batched product. The axes between
    it and D depend on the pattern: `row` (columns), `column` (columns, rows), `previous`
    (2, columns), `dense` (rows * columns), `prefix` (prefix_span).
    """

    def __init__(
        self, pattern: str, layout: Layout, batch_heads: int, head_dim: int, like: Tensor
    ) -> None:
        self.pattern, self.layout = pattern, layout
        slots = layout.cache_shape(pattern)
        self.keys = like.new_zeros(batch_heads, *slots, head_dim)
        self.values = like.new_zeros(batch_heads, *slots, head_dim)

    def for_item(self, item: int, heads: int) -> KVCache:
        """A view of one item's part of the cache; writing to it writes to this cache."""
        view = object.__new__(KVCache)
        view.pattern, view.layout = self.pattern, self.layout
        of_item = slice(item * heads, (item + 1) * heads)
        view.keys, view.values = self.keys[of_item], self.values[of_item]
        return view

    def write(self, n: Position, keys: Tensor, values: Tensor) -> None:
        """Store the keys and values (B * H, D) of position `n`."""
        n = self._on_device(n)
        for stored, new in ((self.keys, keys), (self.values, values)):
            slots = stored.flatten(1, -2)
            if isinstance(n, DevicePosition):
                self._write_at_tensor(n.slot(self.pattern), slots, new)
            elif (slot := _slot(self.pattern, self.layout, n)) < slots.shape[1]:
                slots[:, slot] = new  # positions after a prefix span are not stored

    def _on_device(self, n: Position) -> int | DevicePosition:
        return DevicePosition(n, self.layout) if isinstance(n, Tensor) else n

    def _write_at_tensor(self, slot: Tensor, slots: Tensor, new: Tensor) -> None:
        """Write (B * H, D) at a slot (1,) without reading it on the host."""
        new = new[:, None]
        if self.pattern == "prefix":  # a position after the span rewrites the last slot as it is
            last = slot.clamp_max(slots.shape[1] - 1)
            new, slot = torch.where(slot == last, new, slots.index_select(1, last)), last
        slots.index_copy_(1, slot, new)

    def read(self, n: Position) -> KeysValues:
        """The keys and values that position `n` attends to."""
        n = self._on_device(n)
        if isinstance(n, DevicePosition):
            return self._read_at_tensor(n)
        row, column = divmod(n, self.layout.columns)
        visible: tuple[int | slice, ...] = {
            "row": (slice(column + 1),),
            "column": (column, slice(row + 1)),
            "previous": ((row + 1) % 2,),
            "dense": (slice(n + 1),),
            "prefix": (slice(n + 1),),
        }[self.pattern]
        index = (slice(None), *visible)
        return KeysValues(self.keys[index], self.values[index])

    def _read_at_tensor(self, n: DevicePosition) -> KeysValues:
        """As `read`, but with a fixed shape and a mask: the same operations at every position."""
        keys, values = self.keys, self.values
        if self.pattern in ("column", "previous"):
            group = n.group(self.pattern)
            keys, values = (t.index_select(1, group)[:, 0] for t in (keys, values))
        if self.pattern == "previous":
            return KeysValues(keys, values)
        return KeysValues(keys, values, n.mask(self.pattern, keys.shape[1]))

    def prefill(self, keys: Tensor, values: Tensor) -> None:
        """Store the keys and values (B * H, T, D) of positions 0 .. T - 1.

        Leaves what T calls of `write` would leave; rows that are out of reach are skipped.
        """
        total, columns = keys.shape[1], self.layout.columns
        if self.pattern in ("dense", "prefix"):
            end = min(total, self.keys.shape[1])
            self.keys[:, :end], self.values[:, :end] = keys[:, :end], values[:, :end]
            return
        num_rows = {"row": 1, "previous": 2, "column": self.layout.rows}[self.pattern]
        first = max(0, (total - 1) // columns - num_rows + 1) * columns
        for n in range(first, total, columns):
            row, length = n // columns, min(columns, total - n)
            slots: tuple[int | slice, ...] = {
                "row": (slice(length),),
                "column": (slice(length), row),
                "previous": (row % 2, slice(length)),
            }[self.pattern]
            index = (slice(None), *slots)
            self.keys[index], self.values[index] = (
                keys[:, n : n + length],
                values[:, n : n + length],
            )


class CrossAttentionCache(NamedTuple):
    """The keys and values of a memory, which are the same at every position."""

    keys: Tensor  # (B * H, S, D)
    values: Tensor  # (B * H, S, D)
    mask: Tensor | None = None  # (B * H, 1, S) bool, True: attend
    query_encoding: Tensor | None = None  # (B, T, W), added to the queries' input

    def for_item(self, item: int, heads: int) -> CrossAttentionCache:
        """A view of one item's part of the cache."""
        of_item = slice(item * heads, (item + 1) * heads)
        mask = None if self.mask is None else self.mask[of_item]
        encoding = None if self.query_encoding is None else self.query_encoding[item : item + 1]
        return CrossAttentionCache(self.keys[of_item], self.values[of_item], mask, encoding)


LayerCache = KVCache | CrossAttentionCache


def select_position(x: Tensor, n: Position) -> Tensor:
    """Position `n` of (B, T, W): (B, 1, W)."""
    index = n.n if isinstance(n, DevicePosition) else n
    return x.index_select(1, index) if isinstance(index, Tensor) else x[:, index : index + 1]
