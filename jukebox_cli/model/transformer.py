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
from jukebox_cli.model.attention import CrossAttention, Memory, SelfAttention
from jukebox_cli.model.kv_cache import CrossAttentionCache, KVCache, LayerCache, Layout, Position
from jukebox_cli.model.linear import BatchInvariantLinear, pad_to_multiple


class TransformerLayer(nn.Module):
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
        self.attention_norm = nn.LayerNorm(width)
        self.attention: SelfAttention | CrossAttention = (
            CrossAttention(width, inner, heads, out_std)
            if pattern == "cross_attention"
            else SelfAttention(pattern, layout, width, inner, heads, out_std)
        )
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = BatchInvariantLinear(width, hidden)
        self.mlp_out = BatchInvariantLinear(hidden, width, out_std)
        self.scale = scale

    def forward(
        self, x: Tensor, cache: LayerCache | None = None, memory: Memory | None = None
    ) -> Tensor:
        seen = _require_memory(memory) if isinstance(self.attention, CrossAttention) else cache
        a = self.attention(self.attention_norm(x), seen)
        m = self.mlp_out(quick_gelu(self.mlp_in(self.mlp_norm(x + a))))
        out: Tensor = x + self.scale * (a + m)
        return out

    def step(self, x: Tensor, n: Position, cache: LayerCache) -> Tensor:
        normed = self.attention_norm(x)
        if isinstance(self.attention, CrossAttention):
            assert isinstance(cache, CrossAttentionCache)
            a = self.attention.step(normed, n, cache)
        else:
            assert isinstance(cache, KVCache)
            a = self.attention.step(normed, n, cache)
        hidden = self.mlp_in.step(self.mlp_norm(x + a))
        size = hidden.shape[2]
        active = quick_gelu(hidden if size % 64 == 0 else pad_to_multiple(hidden, 1, unit=64))[
            ..., :size
        ]
        return x + self.scale * (a + self.mlp_out.step(active))


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x), Jukebox's activation (Hendrycks & Gimpel 2016, section 2)."""
    return x * torch.sigmoid(1.702 * x)


class Transformer(nn.Module):
    """A stack of blocks whose patterns repeat; `scale` multiplies what each adds."""

    def __init__(
        self,
        *,
        context_length: int,
        prefix_length: int = 0,
        rows: int,
        width: int,
        depth: int,
        heads: int,
        attention_width: int,
        mlp_width: int,
        attention_patterns: tuple[str, ...],
        residual_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.layout = Layout(rows, (prefix_length + context_length) // rows, prefix_length)
        self.heads, self.head = heads, attention_width // heads
        out_std = 0.02 / sqrt(2 * depth)
        self.layers = nn.ModuleList(
            TransformerLayer(
                attention_patterns[d % len(attention_patterns)],
                self.layout,
                width,
                attention_width,
                mlp_width,
                heads,
                residual_scale,
                out_std,
            )
            for d in range(depth)
        )

    def layer_list(self) -> list[TransformerLayer]:
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]

    def make_caches(self, batch: int, memory: Memory | None = None) -> list[LayerCache]:
        """Empty caches for a batch, one a layer; those of memory layers are full."""
        like = next(self.parameters())
        rows = batch * self.heads
        return [
            b.attention.cache(_require_memory(memory))
            if isinstance(b.attention, CrossAttention)
            else KVCache(b.attention.pattern, self.layout, rows, self.head, like)
            for b in self.layer_list()
        ]

    def forward(
        self,
        x: Tensor,
        caches: Sequence[LayerCache] | None = None,
        memory: Memory | None = None,
        num_layers: int | None = None,
    ) -> Tensor:
        """(B, T, W) -> (B, T, W): the first T positions at once, whole rows or not.

        `upto` stops before that layer.
        """
        total = x.shape[1]
        x = F.pad(x, (0, 0, 0, -total % self.layout.columns))
        for i, block in enumerate(self.layer_list()[:num_layers]):
            x = block(x, None if caches is None else caches[i], memory)
        return x[:, :total]

    def attention_weights(self, x: Tensor, layer: int, memory: Memory | None = None) -> Tensor:
        """Where the heads of a `memory` or `prefix` layer look, given (B, T, W): (B, H, T, S),
        for a prefix only from the music."""
        block = self.layer_list()[layer]
        x = block.attention_norm(self(x, memory=memory, upto=layer))
        if isinstance(block.attention, CrossAttention):
            return block.attention.memory_attention_weights(x, _require_memory(memory))
        return block.attention.prefix_attention_weights(x)

    def step(self, x: Tensor, n: Position, caches: Sequence[LayerCache]) -> Tensor:
        """(B, 1, W) -> (B, 1, W): position n, after positions 0 .. n - 1."""
        for block, cache in zip(self.layers, caches, strict=True):
            x = block.step(x, n, cache)  # type: ignore[operator]
        return x


def _require_memory(memory: Memory | None) -> Memory:
    if memory is None:
        hint = "give the prior a conditioner that makes one, such as lyrics, or other patterns"
        raise InputError("layers of pattern 'memory' have no memory to attend to", hint)
    return memory
