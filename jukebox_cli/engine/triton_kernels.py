"""Kernels of a layer at one position, in Triton (Tillet et al. 2019), for NVIDIA GPUs.

No sum depends on how many rows there are: a row's norm and each head's attention belong to one
program, and products sum over their inputs in an order that is fixed, in tiles that differ with the
number of rows only in how many outputs and rows they have.

Arithmetic is fp32, products of 16-bit numbers included. `OVERLAP` (compute capability 9): a kernel
begins while the one before it runs, reads what that does not write, and then waits for it.

Shapes: B batch, S positions attended to, W width, A attention width, H heads, D = A / H.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

#: What every score exceeds; unlike that of infinities, its difference from itself is a number.
LOWEST = tl.constexpr(-1e30)


# fmt: off
@triton.jit
def norm_kernel(
    x, added, encoding, position, weight, bias, out, width, num_positions, eps,
    ADDED: tl.constexpr, ENCODED: tl.constexpr, BLOCK: tl.constexpr, OVERLAP: tl.constexpr,
):
    """out = LayerNorm(x + added) + encoding at the position: (B, W), a row in each program.

    encoding: (B, num_positions, W), position: (1,).
    """
    row, columns = tl.program_id(0), tl.arange(0, BLOCK)
    inside, place = columns < width, row * width + columns
    gain = tl.load(weight + columns, inside, 0.0).to(tl.float32)
    shift = tl.load(bias + columns, inside, 0.0).to(tl.float32)
    if OVERLAP:
        wait_for_inputs()
    values = tl.load(x + place, inside, 0.0).to(tl.float32)
    if ADDED:
        values += tl.load(added + place, inside, 0.0).to(tl.float32)
    if ENCODED:
        at = (row.to(tl.int64) * num_positions + tl.load(position)) * width
        shift += tl.load(encoding + at + columns, inside, 0.0).to(tl.float32)
    centered = tl.where(inside, values - tl.sum(values, 0) / width, 0.0)
    scale = tl.rsqrt(tl.sum(centered * centered, 0) / width + eps)
    tl.store(out + place, (centered * scale * gain + shift).to(out.dtype.element_ty), inside)


@triton.jit
def wait_for_inputs():
    """Wait until the kernel before this one is done, and let the next one begin.

    In this order whatever the kernel before that one wrote can be read without waiting.
    """
    gdc_wait()
    gdc_launch_dependents()


@triton.jit
def product_kernel(
    x, weight, bias, out, residual, branch, scale,
    batch, in_features, out_features, stride_in, stride_out,
    ROWS: tl.constexpr, OUTS: tl.constexpr, DEPTH: tl.constexpr,
    GELU: tl.constexpr, RESIDUAL: tl.constexpr, OVERLAP: tl.constexpr,
):
    """out = x @ weight + bias: (B, in) @ (in, out) -> (B, out), ROWS x OUTS of it in each program.

    GELU: quick_gelu of it. RESIDUAL: residual + scale * (branch + it), all (B, out) in fp32.
    """
    outs = tl.program_id(0) * OUTS + tl.arange(0, OUTS)
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    weight += tl.minimum(outs, out_features - 1)[:, None].to(tl.int64) * stride_out
    shift = tl.load(bias + outs, outs < out_features, 0.0).to(tl.float32)[:, None]
    if OVERLAP:
        wait_for_inputs()
    place = rows[None, :] * out_features + outs[:, None]
    inside = (outs[:, None] < out_features) & (rows[None, :] < batch)
    if RESIDUAL:
        shift += tl.load(branch + place, inside, 0.0)
        before = tl.load(residual + place, inside, 0.0)
    product = shift + sum_products(
        x + rows[None, :] * in_features, weight, in_features, stride_in, rows[None, :] < batch,
        ROWS, OUTS, DEPTH,
    )
    if GELU:
        product = product * tl.sigmoid(1.702 * product)
    if RESIDUAL:
        product = before + scale * product
    tl.store(out + place, product.to(out.dtype.element_ty), inside)


@triton.jit
def sum_products(
    x, weight, in_features, stride_in, has_row,
    ROWS: tl.constexpr, OUTS: tl.constexpr, DEPTH: tl.constexpr,
):
    """(OUTS, in) @ (in, ROWS) in fp32. Every DEPTH inputs go to another of four sums, and each of
    these to another warp."""
    sums = tl.zeros((4, OUTS, ROWS), tl.float32)
    for k in range(0, in_features, 4 * DEPTH):
        depth = k + tl.arange(0, 4)[:, None] * DEPTH + tl.arange(0, DEPTH)[None, :]
        exists = depth < in_features
        weights = tl.load(weight[None] + depth[:, None] * stride_in, exists[:, None], 0.0)
        inputs = tl.load(x[None] + depth[:, :, None], has_row[None] & exists[:, :, None], 0.0)
        sums = tl.dot(weights, inputs, sums, input_precision="ieee")
    first, second = tl.split(tl.permute(tl.reshape(sums, (2, 2, OUTS, ROWS)), (1, 2, 3, 0)))
    first, second = tl.split(tl.permute(first + second, (1, 2, 0)))
    return first + second


@triton.jit
def self_attention_kernel(
    qkv, keys, values, out, parts, tickets, position, scale, rows, columns, span, stride,
    HEADS: tl.constexpr, SIZE: tl.constexpr, PATTERN: tl.constexpr, BLOCK_D: tl.constexpr,
    BLOCK_S: tl.constexpr, CHUNK: tl.constexpr, SPLITS: tl.constexpr, OVERLAP: tl.constexpr,
):
    """Write a position's keys and values and attend from it: (B, 3 A) -> (B, A), CHUNK positions of
    one head of one item in each program.

    keys, values: (B * H, slots, D), `stride` numbers for each head; SIZE is D; span: positions that
    `prefix` layers attend to. The position itself is not read back.
    """
    index, d = tl.program_id(0), tl.arange(0, BLOCK_D)
    inside, start = d < SIZE, tl.program_id(1) * CHUNK
    n = tl.load(position).to(tl.int32)
    slot, first, count, own = find_slots(n, rows, columns, span, PATTERN)
    end, own = tl.minimum(count, start + CHUNK), own & (start == 0)
    keys += index.to(tl.int64) * stride
    values += index.to(tl.int64) * stride
    k = load_block(keys + first * SIZE, start, end, SIZE, BLOCK_D, BLOCK_S)
    v = load_block(values + first * SIZE, start, end, SIZE, BLOCK_D, BLOCK_S)
    if OVERLAP:
        wait_for_inputs()
    qkv += (index // HEADS * 3 * HEADS + index % HEADS) * SIZE + d
    q = tl.load(qkv, inside, 0.0).to(tl.float32) * scale
    new_k = tl.load(qkv + HEADS * SIZE, inside, 0.0)
    new_v = tl.load(qkv + 2 * HEADS * SIZE, inside, 0.0)
    if (start == 0) & (slot >= 0):
        tl.store(keys + slot * SIZE + d, new_k, inside)
        tl.store(values + slot * SIZE + d, new_v, inside)
    highest, total, mixed = attend(
        q, k, v, keys + first * SIZE, values + first * SIZE, keys, start, end,
        tl.where(own, tl.sum(q * new_k.to(tl.float32), 0), LOWEST), tl.where(own, 1.0, 0.0),
        tl.where(own, new_v.to(tl.float32), 0.0), SIZE, BLOCK_D, BLOCK_S, False,
    )
    combine(highest, total, mixed, out, parts, tickets, SIZE, BLOCK_D, SPLITS)


@triton.jit
def find_slots(n, rows, columns, span, PATTERN: tl.constexpr):
    """Of position `n`: the slot that its keys go to, or -1; the first slot and the number of
    slots, besides that, that it attends to; whether it attends to itself."""
    row, column = n // columns, n % columns
    slot, first, count, own = n, n * 0, n, n >= 0
    if PATTERN == "row":
        slot, count = column, column
    if PATTERN == "column":
        slot, first, count = column * rows + row, column * rows, row
    if PATTERN == "previous":
        slot, first, own = n % (2 * columns), (row + 1) % 2 * columns, n < 0
        count = n * 0 + columns
    if PATTERN == "prefix":
        slot, count, own = tl.where(n < span, n, -1), tl.minimum(n, span), n < span
    return slot, first, count, own


@triton.jit
def cross_attention_kernel(
    queries, keys, values, mask, out, parts, tickets, scale, count, stride,
    SIZE: tl.constexpr, MASKED: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_S: tl.constexpr,
    CHUNK: tl.constexpr, SPLITS: tl.constexpr, OVERLAP: tl.constexpr,
):
    """Attend to a memory: (B, A) -> (B, A), CHUNK positions of one head of one item in each
    program; zeros where the mask (B * H, 1, S) leaves nothing."""
    index, d = tl.program_id(0), tl.arange(0, BLOCK_D)
    start = tl.program_id(1) * CHUNK
    end = tl.minimum(count, start + CHUNK)
    keys += index.to(tl.int64) * stride
    values += index.to(tl.int64) * stride
    k = load_block(keys, start, end, SIZE, BLOCK_D, BLOCK_S)
    v = load_block(values, start, end, SIZE, BLOCK_D, BLOCK_S)
    if OVERLAP:
        wait_for_inputs()
    q = tl.load(queries + index * SIZE + d, d < SIZE, 0.0).to(tl.float32) * scale
    highest, total, mixed = attend(
        q, k, v, keys, values, mask + index * count, start, end,
        tl.full((), LOWEST, tl.float32), tl.full((), 0.0, tl.float32), q * 0.0,
        SIZE, BLOCK_D, BLOCK_S, MASKED,
    )
    combine(highest, total, mixed, out, parts, tickets, SIZE, BLOCK_D, SPLITS)


@triton.jit
def load_block(
    stored, start, end, SIZE: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_S: tl.constexpr
):
    """Keys or values from position `start` on, zeros from `end` on: (BLOCK_S, BLOCK_D)."""
    s, d = start + tl.arange(0, BLOCK_S), tl.arange(0, BLOCK_D)
    inside = (s < end)[:, None] & (d < SIZE)[None, :]
    return tl.load(stored + s[:, None] * SIZE + d[None, :], inside, 0.0)


@triton.jit
def attend(
    q, k, v, keys, values, mask, start, end, highest, total, mixed,
    SIZE: tl.constexpr, BLOCK_D: tl.constexpr, BLOCK_S: tl.constexpr, MASKED: tl.constexpr,
):
    """Softmax attention of a scaled query (D,) to the keys and values `start` to `end` - 1, block
    after block (Milakov and Gimelshein 2018, arXiv 1805.02867).

    k, v: the first block of them. highest, total, mixed: the highest score so far, the sum of the
    weights relative to it, and the weighted sum of values (D,); returns them.
    """
    highest, total, mixed = attend_block(
        q, k, v, mask, start, end, highest, total, mixed, BLOCK_S, MASKED
    )
    for block in range(start + BLOCK_S, end, BLOCK_S):
        k = load_block(keys, block, end, SIZE, BLOCK_D, BLOCK_S)
        v = load_block(values, block, end, SIZE, BLOCK_D, BLOCK_S)
        highest, total, mixed = attend_block(
            q, k, v, mask, block, end, highest, total, mixed, BLOCK_S, MASKED
        )
    return highest, total, mixed


@triton.jit
def attend_block(
    q, k, v, mask, start, end, highest, total, mixed, BLOCK_S: tl.constexpr, MASKED: tl.constexpr
):
    """`attend` to one block."""
    s = start + tl.arange(0, BLOCK_S)
    visible = s < end
    if MASKED:
        visible = visible & (tl.load(mask + s, visible, 0) != 0)
    scores = tl.where(visible, tl.sum(q[None, :] * k.to(tl.float32), 1), float("-inf"))
    higher = tl.maximum(highest, tl.max(scores, 0))
    weights, kept = tl.exp(scores - higher), tl.exp(highest - higher)
    total = total * kept + tl.sum(weights, 0)
    mixed = mixed * kept + tl.sum(weights[:, None] * v.to(tl.float32), 0)
    return higher, total, mixed


@triton.jit
def combine(
    highest, total, mixed, out, parts, tickets,
    SIZE: tl.constexpr, BLOCK_D: tl.constexpr, SPLITS: tl.constexpr,
):
    """Store the attention of a head from that to each chunk (Dao et al. 2023, Flash-Decoding).

    The programs of a head leave theirs in parts (B * H, SPLITS, BLOCK_D + 2); the last to draw one
    of its tickets (B * H,) combines all, in their order, and returns the tickets.
    """
    index, split, d = tl.program_id(0), tl.program_id(1), tl.arange(0, BLOCK_D)
    if SPLITS > 1:
        row = BLOCK_D + 2
        parts += index * SPLITS * row
        tl.store(parts + split * row + d, mixed)
        tl.store(parts + split * row + BLOCK_D, highest)
        tl.store(parts + split * row + BLOCK_D + 1, total)
        tl.debug_barrier()
        if tl.atomic_add(tickets + index, 1, sem="acq_rel") == SPLITS - 1:
            tl.store(tickets + index, 0)
            every = parts + tl.arange(0, SPLITS) * row
            each = tl.load(every + BLOCK_D, cache_modifier=".cg")
            weights = tl.exp(each - tl.max(each, 0))
            total = tl.sum(weights * tl.load(every + BLOCK_D + 1, cache_modifier=".cg"), 0)
            mixes = tl.load(every[:, None] + d[None, :], cache_modifier=".cg")
            mixed = tl.sum(weights[:, None] * mixes, 0) / tl.maximum(total, 1e-30)
            tl.store(out + index * SIZE + d, mixed.to(out.dtype.element_ty), d < SIZE)
    else:
        mixed = mixed / tl.maximum(total, 1e-30)
        tl.store(out + index * SIZE + d, mixed.to(out.dtype.element_ty), d < SIZE)
# fmt: on
