"""A stack of blocks, each with attention of its own pattern (paper, appendix A).

Shapes: B batch, T positions, W width, H heads, S positions of a memory or a prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.attention import Attention, Memory, MemoryAttention
from jukebox_cli.model.kv_cache import AnyCache, Cache, Layout, MemoryCache, Position
from jukebox_cli.model.linear import Linear, filled


class Block(nn.Module):
    """x + a + m with a = attention(norm(x)), m = mlp(norm(x + a)); `scale` multiplies a + m."""

    def __init__(
        self,
        pattern: str,
        layout: Layout,
        width: int,
        inner: int,
        hidden: int,
        heads: int,
        scale: float,
        out_std: float,
    ) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(width)
        self.attention: Attention | MemoryAttention = (
            MemoryAttention(width, inner, heads, out_std)
            if pattern == "memory"
            else Attention(pattern, layout, width, inner, heads, out_std)
        )
        self.before_mlp = nn.LayerNorm(width)
        self.widen = Linear(width, hidden)
        self.narrow = Linear(hidden, width, out_std)
        self.scale = scale

    def forward(
        self, x: Tensor, cache: AnyCache | None = None, memory: Memory | None = None
    ) -> Tensor:
        seen = _needed(memory) if isinstance(self.attention, MemoryAttention) else cache
        a = self.attention(self.before_attention(x), seen)
        m = self.narrow(quick_gelu(self.widen(self.before_mlp(x + a))))
        out: Tensor = x + self.scale * (a + m)
        return out

    def step(self, x: Tensor, n: Position, cache: AnyCache) -> Tensor:
        normed = self.before_attention(x)
        if isinstance(self.attention, MemoryAttention):
            assert isinstance(cache, MemoryCache)
            a = self.attention.step(normed, n, cache)
        else:
            assert isinstance(cache, Cache)
            a = self.attention.step(normed, n, cache)
        hidden = self.widen.step(self.before_mlp(x + a))
        size = hidden.shape[2]
        active = quick_gelu(hidden if size % 64 == 0 else filled(hidden, 1, unit=64))[..., :size]
        return x + self.scale * (a + self.narrow.step(active))


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x), Jukebox's activation (Hendrycks & Gimpel 2016, section 2)."""
    return x * torch.sigmoid(1.702 * x)


class Transformer(nn.Module):
    """A stack of blocks whose patterns repeat; `scale` multiplies what each adds."""

    def __init__(
        self,
        *,
        frames: int,
        prefix: int = 0,
        blocks: int,
        width: int,
        depth: int,
        heads: int,
        inner: int,
        hidden: int,
        patterns: tuple[str, ...],
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.layout = Layout(blocks, (prefix + frames) // blocks, prefix)
        self.heads, self.head = heads, inner // heads
        out_std = 0.02 / sqrt(2 * depth)
        self.layers = nn.ModuleList(
            Block(
                patterns[d % len(patterns)],
                self.layout,
                width,
                inner,
                hidden,
                heads,
                scale,
                out_std,
            )
            for d in range(depth)
        )

    def blocks(self) -> list[Block]:
        return [layer for layer in self.layers if isinstance(layer, Block)]

    def caches(self, batch: int, memory: Memory | None = None) -> list[AnyCache]:
        """Empty caches for a batch, one a layer; those of memory layers are full."""
        like = next(self.parameters())
        rows = batch * self.heads
        return [
            b.attention.cache(_needed(memory))
            if isinstance(b.attention, MemoryAttention)
            else Cache(b.attention.pattern, self.layout, rows, self.head, like)
            for b in self.blocks()
        ]

    def forward(
        self,
        x: Tensor,
        caches: Sequence[AnyCache] | None = None,
        memory: Memory | None = None,
        upto: int | None = None,
    ) -> Tensor:
        """(B, T, W) -> (B, T, W): the first T positions at once, whole rows or not.

        `upto` stops before that layer.
        """
        total = x.shape[1]
        x = F.pad(x, (0, 0, 0, -total % self.layout.columns))
        for i, block in enumerate(self.blocks()[:upto]):
            x = block(x, None if caches is None else caches[i], memory)
        return x[:, :total]

    def looks(self, x: Tensor, layer: int, memory: Memory | None = None) -> Tensor:
        """Where the heads of a `memory` or `prefix` layer look, given (B, T, W): (B, H, T, S),
        for a prefix only from the music."""
        block = self.blocks()[layer]
        x = block.before_attention(self(x, memory=memory, upto=layer))
        if isinstance(block.attention, MemoryAttention):
            return block.attention.to_memory(x, _needed(memory))
        return block.attention.to_prefix(x)

    def step(self, x: Tensor, n: Position, caches: Sequence[AnyCache]) -> Tensor:
        """(B, 1, W) -> (B, 1, W): position n, after positions 0 .. n - 1."""
        for block, cache in zip(self.layers, caches, strict=True):
            x = block.step(x, n, cache)  # type: ignore[operator]
        return x


def _needed(memory: Memory | None) -> Memory:
    if memory is None:
        hint = "give the prior a conditioner that makes one, such as lyrics, or other patterns"
        raise InputError("layers of pattern 'memory' have no memory to attend to", hint)
    return memory
