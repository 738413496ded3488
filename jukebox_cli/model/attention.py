"""Factored self-attention over a sequence laid out in rows (paper, appendix A; Child et al. 2019).

The positions, prefix included, are laid out row by row in `rows` rows of `columns` positions. The
pattern of a layer says what the position at (row r, column c) attends to:

    row         positions of row r up to itself
    column      positions of column c up to itself
    previous    the whole of row r - 1; zeros in the first row
    dense       all positions up to itself
    prefix      those of the first `prefix_span` positions that are not after it

Three implementations give the same result: `forward` (whole rows at once, for training and
prefilling), `step` (one position, with a KV cache), and `naive_attention` (one softmax under
`attention_mask`, the reference for the tests). `cross_attention` has the remaining kind of layer.

Shapes: B batch, T positions, S positions attended to, P prefix positions, W width,
A attention width, H heads, D = A / H channels of a head.
"""

from __future__ import annotations

from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from jukebox_cli.model.kv_cache import KVCache, Layout, Position
from jukebox_cli.model.linear import PAD_MULTIPLE, BatchInvariantLinear, pad_to_multiple


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention in `heads` heads, without projections (Vaswani et al. 2017)."""

    def __init__(self, attention_width: int, heads: int) -> None:
        super().__init__()
        self.attention_width, self.heads = attention_width, heads
        self.scale = 1 / sqrt(attention_width // heads)

    def split_heads(self, x: Tensor) -> Tensor:  # (B, T, A) -> (B, H, T, D)
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:  # (B, H, T, D) -> (B, T, A)
        return x.transpose(1, 2).flatten(2)

    def attention_weights(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
        """Softmax of (B, H, T, D) @ (B, H, S, D): (B, H, T, S).

        `mask` is True where a query may attend; the weights of a query without any are zero.
        """
        scores = q @ k.transpose(2, 3) * self.scale
        if mask is None:
            return scores.softmax(-1)
        return scores.masked_fill(~mask, -torch.inf).softmax(-1).nan_to_num()

    def attend_one_position(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """One query per item and head: q (B * H, D), k and v (B * H, S, D) -> (B, 1, A).

        On a CPU not with the fused kernel, which splits the work by batch and threads, so that its
        rounding depends on them.
        """
        if q.device.type == "cuda":
            return fused_attention(q, k, v, mask, self.heads, self.scale)
        head_dim = q.shape[1]
        if head_dim % PAD_MULTIPLE:
            q, k, v = pad_to_multiple(q, 1), pad_to_multiple(k, 1), pad_to_multiple(v, 1)
        scores = torch.bmm(q.unsqueeze(1) * self.scale, k.transpose(1, 2))  # (B * H, 1, S)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        weights = torch.softmax(scores, dim=-1)
        weights = weights if mask is None else weights.nan_to_num()
        return torch.bmm(weights, v)[..., :head_dim].reshape(-1, 1, self.attention_width)


def fused_attention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, heads: int, scale: float
) -> Tensor:
    """`MultiHeadAttention.attend_one_position` with one kernel, for GPUs.

    The memory-efficient one (Rabe and Staats 2021, arXiv 2112.05682): it computes each head of each
    item in a block of its own, whatever the batch, where others share out long ones by how many
    there are.
    """
    head_dim = q.shape[1]
    if head_dim % PAD_MULTIPLE:
        q, k, v = pad_to_multiple(q, 1), pad_to_multiple(k, 1), pad_to_multiple(v, 1)
    q, k, v = (t.unflatten(0, (-1, heads)) for t in (q[:, None], k, v))  # (B, H, 1 or S, D)
    of_items = mask is not None and mask.ndim > 1
    if mask is not None:  # (B * H, 1, S) of a memory, or (S,)
        mask = mask.unflatten(0, (-1, heads)) if of_items else mask[None, None, None]
    with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    if mask is not None and of_items:  # an item may have nothing to attend to
        mixed = torch.where(mask.any(-1, keepdim=True), mixed, 0.0)
    return mixed[..., :head_dim].flatten(1)[:, None]  # (B, 1, A)


class SelfAttention(MultiHeadAttention):
    """Self-attention with one of the patterns above, between a joint projection and an output one.

    `out_std` is the standard deviation of the output projection's initial weights.
    """

    def __init__(
        self,
        pattern: str,
        layout: Layout,
        width: int,
        attention_width: int,
        heads: int,
        out_std: float,
    ) -> None:
        super().__init__(attention_width, heads)
        self.pattern, self.layout = pattern, layout
        self.qkv = BatchInvariantLinear(width, 3 * attention_width)
        self.out = BatchInvariantLinear(attention_width, width, out_std)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """(B, T, W) -> (B, T, W) for the first T positions; T must be a multiple of `columns`.

        A cache is filled with the keys and values of these positions.
        """
        q, k, v = (self.split_heads(t) for t in self.qkv(x).chunk(3, dim=2))  # (B, H, T, D)
        if cache is not None:
            cache.prefill(k.flatten(0, 1), v.flatten(0, 1))
        mixed: Tensor = self.out(self.merge_heads(self._attend(q, k, v)))
        return mixed

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # (B, H, T, D)
        if self.pattern == "dense":
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if self.pattern == "prefix":
            k, v = (t[:, :, : self.layout.prefix_span] for t in (k, v))
            mask = self._prefix_mask(q.shape[2]).to(q.device)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        q, k, v = (t.unflatten(2, (-1, self.layout.columns)) for t in (q, k, v))
        if self.pattern == "row":  # (B, H, rows, columns, D)
            return F.scaled_dot_product_attention(q, k, v, is_causal=True).flatten(2, 3)
        if self.pattern == "column":
            q, k, v = (t.transpose(2, 3) for t in (q, k, v))
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return mixed.transpose(2, 3).flatten(2, 3)
        k, v = (F.pad(t, (0, 0, 0, 0, 1, 0))[:, :, :-1] for t in (k, v))  # shifted by one row
        return F.scaled_dot_product_attention(q, k, v).flatten(2, 3)

    def _prefix_mask(self, total: int) -> Tensor:  # (T, prefix_span)
        return attention_mask("prefix", self.layout, total)[:, : self.layout.prefix_span]

    def step(self, x: Tensor, n: Position, cache: KVCache) -> Tensor:
        """The output at position `n` alone: (B, 1, W) -> (B, 1, W).

        Adds the position to the cache, which must hold those before it.
        """
        q, k, v = self.qkv.step(x).view(x.shape[0], 3, self.heads, -1).unbind(1)
        q, k, v = (t.flatten(0, 1) for t in (q, k, v))  # (B * H, D)
        cache.write(n, k, v)
        return self.out.step(self.attend_one_position(q, *cache.read(n)))

    def prefix_attention_weights(self, x: Tensor) -> Tensor:
        """Attention weights of a `prefix` layer from the music to the prefix: (B, H, T - P, P).

        They sum to less than 1 where a position also attends to music within the prefix span.
        """
        q, k, _ = (self.split_heads(t) for t in self.qkv(x).chunk(3, dim=2))
        k, mask = k[:, :, : self.layout.prefix_span], self._prefix_mask(x.shape[1]).to(x.device)
        prefix = self.layout.prefix_length
        return self.attention_weights(q, k, mask)[:, :, prefix:, :prefix]


def attention_mask(pattern: str, layout: Layout, total: int) -> Tensor:
    """(T, T) bool: whether each position (first axis) attends to each other one (second axis)."""
    n = torch.arange(total)
    row, column = n // layout.columns, n % layout.columns
    causal = n[None] <= n[:, None]
    return {
        "row": causal & (row[None] == row[:, None]),
        "column": causal & (column[None] == column[:, None]),
        "previous": row[None] == row[:, None] - 1,
        "dense": causal,
        "prefix": causal & (n[None] < layout.prefix_span),
    }[pattern]


def naive_attention(attention: SelfAttention, x: Tensor) -> Tensor:
    """`attention(x)` as a single masked softmax over all positions: the slow reference."""
    q, k, v = (attention.split_heads(t) for t in attention.qkv(x).chunk(3, dim=2))
    mask = attention_mask(attention.pattern, attention.layout, x.shape[1]).to(x.device)
    scores = (q @ k.transpose(2, 3) * attention.scale).masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1).nan_to_num()  # zero for a position that attends to nothing
    out: Tensor = attention.out(attention.merge_heads(weights @ v))
    return out
