"""A transformer's step with few kernels, for NVIDIA GPUs: seven a layer instead of some thirty.

Reading the weights of a layer once takes a few microseconds, and each kernel that must wait for the
one before it takes two more. So a kernel does all that stands between two places where a whole row
must be known: the norm, a product with its bias, activation and residual, attention with its cache.
The residual stream is fp32; what products take and give is of the weights' type.

The kernels are in `triton_kernels`, their launches in `fused_ops`. Triton comes with torch where
that computes with CUDA on Linux, and needs a C compiler; without these, or on GPUs before compute
capability 8, `Transformer.step` is used.

Shapes: B batch, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn

from jukebox_cli.model.cross_attention import CrossAttention
from jukebox_cli.model.kv_cache import CrossAttentionCache, KVCache, LayerCache
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior, TransformerStep
from jukebox_cli.model.transformer import Transformer, TransformerLayer

#: Whether priors are sampled with the fused step where it can be computed. Not yet: on an H100 the
#: kernels rounded the same for any batch, but before attention read its keys ahead of its inputs,
#: and tests/test_gpu.py has not run with it.
ENABLED = False


class FusedStep:
    """`Transformer.step` up to rounding: (B, 1, W) -> (B, 1, W) at position `n` (1,), with the same
    caches. An item's output is the same to the bit whatever the batch."""

    def __init__(self, transformer: Transformer) -> None:
        self.transformer = transformer

    def __call__(self, x: Tensor, n: Tensor, caches: Sequence[LayerCache]) -> Tensor:
        stream = x[:, 0].float()
        tickets = n.new_zeros(len(x) * self.transformer.heads, dtype=torch.int32)
        for layer, layer_cache in zip(self.transformer.layer_list(), caches, strict=True):
            stream = layer_step(layer, stream, x.dtype, n, layer_cache, tickets)
        return stream.to(x.dtype)[:, None]


def layer_step(
    layer: TransformerLayer,
    stream: Tensor,
    dtype: torch.dtype,
    n: Tensor,
    cache: LayerCache,
    tickets: Tensor,
) -> Tensor:
    """`TransformerLayer.step` on the residual stream (B, W) in fp32."""
    from jukebox_cli.engine.fused_ops import Epilogue, layer_norm, product

    mixed = _attend(layer, stream, dtype, n, cache, tickets)
    branch = product(mixed, layer.attention.out, torch.float32)
    normed = layer_norm(stream, layer.mlp_norm, dtype, added=branch)
    hidden = product(normed, layer.mlp_in, dtype, gelu=True)
    epilogue = Epilogue(stream, branch, layer.residual_scale)
    return product(hidden, layer.mlp_out, torch.float32, epilogue=epilogue)


def _attend(
    layer: TransformerLayer,
    stream: Tensor,
    dtype: torch.dtype,
    n: Tensor,
    cache: LayerCache,
    tickets: Tensor,
) -> Tensor:
    """What a layer's heads give for position `n`: (B, A)."""
    from jukebox_cli.engine.fused_ops import cross_attention, layer_norm, product, self_attention

    attention, norm = layer.attention, layer.attention_norm
    if isinstance(attention, CrossAttention):
        assert isinstance(cache, CrossAttentionCache)
        normed = layer_norm(stream, norm, dtype, encoding=cache.query_encoding, n=n)
        queries = product(normed, attention.query, dtype)
        return cross_attention(queries, cache, attention.heads, attention.scale, tickets)
    assert isinstance(cache, KVCache)
    qkv = product(layer_norm(stream, norm, dtype), attention.qkv, dtype)
    return self_attention(qkv, n, cache, attention.heads, attention.scale, tickets)


def choose_transformer_step(prior: Prior) -> TransformerStep:
    """The fused step where it can be computed, else `Transformer.step`."""
    return FusedStep(prior.transformer) if is_fused(prior) else prior.transformer.step


def is_fused(prior: Prior) -> bool:
    """Whether the steps of a prior are fused: with weights of 16 bits on a GPU that can. Tensor
    cores do not multiply fp32, and the fused step of many rows of that is slower."""
    weight = prior.position_embedding
    has_16_bits = weight.dtype in (torch.float16, torch.bfloat16)
    return ENABLED and has_16_bits and has_kernels(weight.device)


@cache
def has_kernels(device: torch.device) -> bool:
    """Whether the kernels run on a device: one is compiled to find out."""
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    if torch.cuda.get_device_capability(device) < (8, 0):
        return False
    try:
        from jukebox_cli.engine.fused_ops import layer_norm

        norm, x = nn.LayerNorm(16, device=device), torch.ones(1, 16, device=device)
        return bool(layer_norm(x, norm, torch.float32).isfinite().all())
    except Exception:  # whatever Triton, its compiler and the driver raise where they don't fit
        return False


def arrange_weights(prior: Prior) -> None:
    """Store the inputs of each output side by side, as the fused step reads them; the parameters
    stay (in, out). Before anything is computed, since rounding may depend on it."""
    for module in prior.transformer.modules():
        if isinstance(module, BatchInvariantLinear) and module.weight.stride(0) != 1:
            weight = module.weight.detach().T.contiguous().T
            module.weight = nn.Parameter(weight, requires_grad=module.weight.requires_grad)
