"""How many bytes of a prior are read for a position, and how many a window takes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.model.cross_attention import CrossAttention
from jukebox_cli.model.kv_cache import Layout
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import TransformerLayer

#: Bytes of a weight, by precision.
WEIGHT_BYTES: Mapping[str, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


#: Memory is given in pages of so many bytes.
PAGE_BYTES = 4096


def weight_bytes(prior: Prior, precision: str) -> int:
    """Bytes of the weights that are read for a position: those of all layers and of the output,
    without embeddings, of which a row is read. The prior may be one whose weights are packed."""
    count = sum(_layer_weights(layer) for layer in prior.transformer.layer_list())
    output = prior.token_embedding.weight if prior.output is None else prior.output.weight
    return (count + output.numel()) * WEIGHT_BYTES[precision]


def _layer_weights(layer: TransformerLayer) -> int:
    attention = layer.attention
    # the keys and values of a memory are computed once a window
    queries = attention.query if isinstance(attention, CrossAttention) else attention.qkv
    linears = (queries, attention.out, layer.mlp_in, layer.mlp_out)
    return sum(linear.weight.numel() for linear in linears)


def row_bytes(
    config: PriorConfig,
    number_bytes: int = 4,
    positions: int | None = None,
    has_conditions: bool = True,
) -> int:
    """Bytes that a row of a batch takes while a window is sampled: the keys and values of its
    positions, and its conditions, which are copied once to be stacked.

    positions: how many are computed; None: all of the context. The system gives a cache memory
        where it is written, page by page. Keys and values of a memory that is attended to are left
        out; the encodings of its positions count.
    has_conditions: whether there may be any at every position.
    """
    patterns = [
        config.attention_patterns[n % len(config.attention_patterns)] for n in range(config.depth)
    ]
    known = config.context_length if positions is None else min(positions, config.context_length)
    cached = sum(_cache_bytes(config, p, config.prefix_length + known) for p in patterns)
    has_memory = "cross_attention" in patterns
    num_tensors = has_conditions + has_memory
    conditions = num_tensors * config.context_length * config.width
    return number_bytes * (cached // 4 + 2 * conditions)


def _cache_bytes(config: PriorConfig, pattern: str, positions: int) -> int:
    """Bytes of a layer's cache in fp32 after so many positions."""
    if pattern == "cross_attention":
        return 0
    total = config.prefix_length + config.context_length
    layout = Layout(config.rows, total // config.rows, config.prefix_length)
    position = 4 * int(config.attention_ratio * config.width)
    if pattern == "column":  # neighbours are far from each other
        written = positions * max(position, config.heads * PAGE_BYTES)
    else:
        written = positions * position
    return 2 * min(prod(layout.cache_shape(pattern)) * position, written)
