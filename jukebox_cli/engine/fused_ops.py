"""Launches of the kernels in `triton_kernels`, and the sizes of their tiles.

Sizes that rounding depends on are the same for any number of rows.

Shapes: B batch, S positions attended to, W width, A attention width, H heads, D = A / H.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor, nn

from jukebox_cli.engine import triton_kernels as kernels
from jukebox_cli.model.kv_cache import CrossAttentionCache, KVCache
from jukebox_cli.model.linear import BatchInvariantLinear

#: Inputs that are multiplied at a time in each of four sums, by bytes of a number. Rounding depends
#: on it.
DEPTH = {2: 64, 4: 16}
#: Positions that attention looks at at a time. Rounding depends on it.
BLOCK_S = 64
#: Programs that share a head at most. Rounding depends on it.
MAX_SPLITS = 16
#: The largest tile of rows; more are computed tile after tile.
MAX_ROWS = 64


class Tile(NamedTuple):
    """What one program of a product computes, and with what. Rounding depends on none of it."""

    rows: int
    outs: int
    num_warps: int
    num_stages: int  # loads that are under way


class Epilogue(NamedTuple):
    """residual + scale * (branch + product), both (B, out) in fp32."""

    residual: Tensor
    branch: Tensor
    scale: float


def pick_tile(batch: int, out_features: int, itemsize: int, shared: int) -> Tile:
    """The tile for a number of rows, on a GPU with `shared` bytes of memory for a program.

    It has as many rows as there are. With many, reading them takes longer than reading the weights,
    so that it has more outputs, but not so many that few programs are left.
    """
    rows = min(max(8, triton.next_power_of_2(batch)), MAX_ROWS)
    outs = 16 if rows <= 16 else 32
    wanted = 8 if rows <= 16 else 3
    stage = (rows + outs) * 4 * DEPTH[itemsize] * itemsize
    return Tile(rows, outs, 4, max(1, min(wanted, 1 + shared // stage)))


@cache
def shared_memory(device: torch.device) -> int:
    """Bytes of shared memory that a program can have."""
    if device.type != "cuda":
        return 0
    properties = torch.cuda.get_device_properties(device)
    return int(getattr(properties, "shared_memory_per_block_optin", 48 << 10))


def layer_norm(
    x: Tensor,
    norm: nn.LayerNorm,
    dtype: torch.dtype,
    *,
    added: Tensor | None = None,
    encoding: Tensor | None = None,
    n: Tensor | None = None,
) -> Tensor:
    """norm(x + added) + encoding[:, n]: (B, W) fp32 -> (B, W). `encoding`: (B, T, W)."""
    batch, width = x.shape
    out = x.new_empty(batch, width, dtype=dtype)
    positions = 0 if encoding is None else encoding.shape[1]
    sources = (x, x if added is None else added, x if encoding is None else encoding)
    flags = {"ADDED": added is not None, "ENCODED": encoding is not None}
    block = triton.next_power_of_2(width)
    kernels.norm_kernel[(batch,)](
        *sources, *(out if n is None else n, norm.weight, norm.bias, out),
        *(width, positions, norm.eps),
        **flags, BLOCK=block, num_warps=8 if block > 2048 else 4, **launch_options(x.device),
    )  # fmt: skip
    return out


def product(
    x: Tensor,
    linear: BatchInvariantLinear,
    dtype: torch.dtype,
    *,
    gelu: bool = False,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """(B, in) -> (B, out): x @ weight + bias, and quick_gelu of it, or an epilogue."""
    weight, batch = linear.weight, len(x)
    in_features, out_features = weight.shape
    out = x.new_empty(batch, out_features, dtype=dtype)
    residual, branch, scale = epilogue or (out, out, 1.0)
    tile = pick_tile(batch, out_features, x.element_size(), shared_memory(x.device))
    grid = (triton.cdiv(out_features, tile.outs), triton.cdiv(batch, tile.rows))
    kernels.product_kernel[grid](
        *(x, weight, linear.bias, out, residual, branch, scale),
        *(batch, in_features, out_features, *weight.stride()),
        ROWS=tile.rows, OUTS=tile.outs, DEPTH=DEPTH[x.element_size()],
        GELU=gelu, RESIDUAL=epilogue is not None,
        num_warps=tile.num_warps, num_stages=tile.num_stages, **launch_options(x.device),
    )  # fmt: skip
    return out


def self_attention(
    qkv: Tensor, n: Tensor, cache: KVCache, heads: int, scale: float, tickets: Tensor
) -> Tensor:
    """Add position `n` (1,) to a cache and attend from it: (B, 3 A) -> (B, A)."""
    batch, width = len(qkv), qkv.shape[1] // 3
    out, layout = qkv.new_empty(batch, width), cache.layout
    split = Split.of(layout.cache_shape(cache.pattern)[-1], width // heads)
    kernels.self_attention_kernel[(batch * heads, split.programs)](
        *(qkv, cache.keys, cache.values, out, split.new_parts(qkv, batch * heads), tickets, n),
        *(scale, layout.rows, layout.columns, layout.prefix_span, cache.keys.stride(0)),
        HEADS=heads, PATTERN=cache.pattern, **split.options(), **launch_options(qkv.device),
    )  # fmt: skip
    return out


def cross_attention(
    queries: Tensor, cache: CrossAttentionCache, heads: int, scale: float, tickets: Tensor
) -> Tensor:
    """Attend to a memory: (B, A) -> (B, A)."""
    (batch, width), mask, length = queries.shape, cache.mask, cache.keys.shape[1]
    out, split = torch.empty_like(queries), Split.of(length, width // heads)
    kernels.cross_attention_kernel[(batch * heads, split.programs)](
        *(queries, cache.keys, cache.values, queries if mask is None else mask.view(torch.uint8)),
        *(out, split.new_parts(queries, batch * heads), tickets, scale),
        *(length, cache.keys.stride(0)),
        MASKED=mask is not None, **split.options(), **launch_options(queries.device),
    )  # fmt: skip
    return out


class Split(NamedTuple):
    """How the positions that a head attends to are shared out among programs. Rounding depends on
    it: it follows from the layer's sizes."""

    size: int  # D
    programs: int  # of a head
    chunk: int  # positions of a program

    @classmethod
    def of(cls, positions: int, size: int) -> Split:
        blocks = triton.next_power_of_2(triton.cdiv(positions, BLOCK_S))
        programs = min(blocks, MAX_SPLITS)
        return cls(size, programs, blocks // programs * BLOCK_S)

    @property
    def block(self) -> int:
        """D as a power of two."""
        return max(16, triton.next_power_of_2(self.size))

    def new_parts(self, like: Tensor, heads: int) -> Tensor:
        """What the programs of all heads leave for the last of them."""
        return like.new_empty(heads, self.programs, self.block + 2, dtype=torch.float32)

    def options(self) -> dict[str, int]:
        sizes = {"SIZE": self.size, "SPLITS": self.programs, "CHUNK": self.chunk}
        warps = 8 if self.block > 128 else 4
        return {**sizes, "BLOCK_D": self.block, "BLOCK_S": BLOCK_S, "num_warps": warps}


@cache
def launch_options(device: torch.device) -> dict[str, Any]:
    """Options of every launch: whether a kernel may begin while the one before it runs."""
    overlap = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)
    return {"OVERLAP": True, "launch_pdl": True} if overlap else {"OVERLAP": False}
