"""How many bytes of a prior are read for a position, and how many a window takes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from jukebox_cli.model.cross_attention import CrossAttention
from jukebox_cli.model.kv_cache import KVCache
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import TransformerLayer

#: Bytes of a weight, by precision.
WEIGHT_BYTES: Mapping[str, int] = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


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


def window_bytes(prior: Prior) -> int:
    """Bytes that a row of a batch takes at most while a window is sampled in fp32: the keys and
    values of its positions, and its conditions, which are copied once to be stacked."""
    transformer, config = prior.transformer, prior.config
    like = torch.empty(0, device="meta")
    cached = 0
    for layer in transformer.layer_list():
        attention = layer.attention
        if not isinstance(attention, CrossAttention):
            shape = (transformer.layout, transformer.heads, transformer.head_dim)
            cached += 2 * KVCache(attention.pattern, *shape, like).keys.numel()
    return 4 * (cached + 2 * config.context_length * config.width)
