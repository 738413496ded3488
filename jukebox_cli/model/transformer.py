"""A stack of transformer layers, each with its own attention pattern (paper, appendix A).

Shapes: B batch, T positions, S memory or prefix positions, W width, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.attention import SelfAttention
from jukebox_cli.model.cross_attention import CrossAttention, Memory
from jukebox_cli.model.kv_cache import (
    CrossAttentionCache,
    DevicePosition,
    KVCache,
    LayerCache,
    Layout,
    Position,
)
from jukebox_cli.model.linear import BatchInvariantLinear, pad_to_multiple

if TYPE_CHECKING:
    from typing_extensions import Self

#: Element-wise functions process this many numbers at once at most.
VECTOR_LENGTH = 64


class TransformerConfig(Protocol):
    """The sizes of a transformer, as a prior's config or a conditioner has them in its fields."""

    @property
    def width(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def attention_patterns(self) -> tuple[str, ...]: ...
    @property
    def attention_ratio(self) -> float: ...
    @property
    def mlp_ratio(self) -> float: ...
    @property
    def residual_scale(self) -> bool: ...


class TransformerLayer(nn.Module):
    """x + scale * (a + m) with a = attention(norm(x)) and m = mlp(norm(x + a)).

    The MLP sees the attention's output, but both are added to the residual stream at once, as in
    the original implementation.
    """

    def __init__(
        self,
        attention: SelfAttention | CrossAttention,
        width: int,
        mlp_width: int,
        residual_scale: float,
        out_std: float,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = attention
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp_in = BatchInvariantLinear(width, mlp_width)
        self.mlp_out = BatchInvariantLinear(mlp_width, width, out_std)
        self.residual_scale = residual_scale

    def forward(
        self, x: Tensor, cache: LayerCache | None = None, memory: Memory | None = None
    ) -> Tensor:
        """(B, T, W) -> (B, T, W) for the first T positions, whole rows; fills a self-attention
        cache. Cross-attention layers need a memory."""
        context = require_memory(memory) if isinstance(self.attention, CrossAttention) else cache
        a = self.attention(self.attention_norm(x), context)
        m = self.mlp_out(quick_gelu(self.mlp_in(self.mlp_norm(x + a))))
        out: Tensor = x + self.residual_scale * (a + m)
        return out

    def step(self, x: Tensor, n: Position, cache: LayerCache) -> Tensor:
        """The output at position `n` alone: (B, 1, W) -> (B, 1, W)."""
        normed = self.attention_norm(x)
        if isinstance(self.attention, CrossAttention):
            assert isinstance(cache, CrossAttentionCache)
            a = self.attention.step(normed, n, cache)
        else:
            assert isinstance(cache, KVCache)
            a = self.attention.step(normed, n, cache)
        hidden = _batch_invariant_quick_gelu(self.mlp_in.step(self.mlp_norm(x + a)))
        branches = a + self.mlp_out.step(hidden)
        return x + (branches if self.residual_scale == 1.0 else self.residual_scale * branches)


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x), an approximation of GELU (Hendrycks & Gimpel 2016, section 2)."""
    return x * torch.sigmoid(1.702 * x)


def _batch_invariant_quick_gelu(x: Tensor) -> Tensor:
    """`quick_gelu` of (B, 1, N), rounded the same for any B (see `pad_to_multiple`)."""
    size = x.shape[2]
    padded = x if size % VECTOR_LENGTH == 0 else pad_to_multiple(x, 1, multiple=VECTOR_LENGTH)
    return quick_gelu(padded)[..., :size]


class Transformer(nn.Module):
    """`depth` layers over a sequence of prefix and context; the patterns repeat over the layers.

    It works on embeddings; positions are embedded by its user. `context_length` plus
    `prefix_length` must be a multiple of `rows`.
    """

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
        self.heads, self.head_dim = heads, attention_width // heads
        out_std = 0.02 / sqrt(2 * depth)

        def make_layer(pattern: str) -> TransformerLayer:
            attention = make_attention(pattern, self.layout, width, attention_width, heads, out_std)
            return TransformerLayer(attention, width, mlp_width, residual_scale, out_std)

        patterns = [attention_patterns[i % len(attention_patterns)] for i in range(depth)]
        self.layers = nn.ModuleList(make_layer(pattern) for pattern in patterns)

    @classmethod
    def from_config(
        cls,
        config: TransformerConfig,
        context_length: int,
        prefix_length: int = 0,
        residual_depth: int | None = None,
    ) -> Self:
        """The transformer with the sizes of `config`.

        If `config.residual_scale`, residual branches are divided by `residual_depth`, or by the
        depth if that is None.
        """
        residual_depth = residual_depth or config.depth
        return cls(
            context_length=context_length,
            prefix_length=prefix_length,
            rows=config.rows,
            width=config.width,
            depth=config.depth,
            heads=config.heads,
            attention_width=int(config.attention_ratio * config.width),
            mlp_width=int(config.mlp_ratio * config.width),
            attention_patterns=config.attention_patterns,
            residual_scale=1 / residual_depth if config.residual_scale else 1.0,
        )

    def layer_list(self) -> list[TransformerLayer]:
        """`layers`, typed."""
        return [layer for layer in self.layers if isinstance(layer, TransformerLayer)]

    def make_caches(self, batch: int, memory: Memory | None = None) -> list[LayerCache]:
        """A cache per layer: empty for self-attention, complete for cross-attention."""
        like = next(self.parameters())
        return [
            layer.attention.make_cache(require_memory(memory))
            if isinstance(layer.attention, CrossAttention)
            else KVCache(
                layer.attention.pattern, self.layout, batch * self.heads, self.head_dim, like
            )
            for layer in self.layer_list()
        ]

    def forward(
        self,
        x: Tensor,
        caches: Sequence[LayerCache] | None = None,
        memory: Memory | None = None,
        num_layers: int | None = None,
    ) -> Tensor:
        """(B, T, W) -> (B, T, W) for the first T positions, after the first `num_layers` layers.

        T need not be a multiple of `columns`: the last row is padded. Caches are filled with the
        positions. InputError if a cross-attention layer has no memory.
        """
        total = x.shape[1]
        x = F.pad(x, (0, 0, 0, -total % self.layout.columns))
        for i, layer in enumerate(self.layer_list()[:num_layers]):
            x = layer(x, None if caches is None else caches[i], memory)
        return x[:, :total]

    def attention_weights(self, x: Tensor, layer: int, memory: Memory | None = None) -> Tensor:
        """Attention weights of one layer for the input (B, T, W).

        For a cross-attention layer (B, H, T, S) over the memory, for a `prefix` layer
        (B, H, T - S, S) from the music over the prefix.
        """
        chosen = self.layer_list()[layer]
        x = chosen.attention_norm(self(x, memory=memory, num_layers=layer))
        if isinstance(chosen.attention, CrossAttention):
            return chosen.attention.memory_attention_weights(x, require_memory(memory))
        return chosen.attention.prefix_attention_weights(x)

    def step(self, x: Tensor, n: Position, caches: Sequence[LayerCache]) -> Tensor:
        """The output at position `n` alone: (B, 1, W) -> (B, 1, W).

        The caches must hold positions 0 .. n - 1; position `n` is added to them.
        """
        n = DevicePosition(n, self.layout) if isinstance(n, Tensor) else n
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer.step(x, n, cache)  # type: ignore[operator]
        return x


def make_attention(
    pattern: str, layout: Layout, width: int, attention_width: int, heads: int, out_std: float
) -> SelfAttention | CrossAttention:
    """The attention of a layer with this pattern (see `config.schema.ATTENTION_PATTERNS`)."""
    if pattern == "cross_attention":
        return CrossAttention(width, attention_width, heads, out_std)
    return SelfAttention(pattern, layout, width, attention_width, heads, out_std)


def require_memory(memory: Memory | None) -> Memory:
    """The memory; InputError if there is none."""
    if memory is None:
        raise InputError(
            "the prior has cross_attention layers, but no conditioner gives them a memory",
            "add a conditioner that makes one, or change its attention_patterns",
        )
    return memory
