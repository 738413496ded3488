"""A prior's weights, packed for the native engine's kernels (native/model.h).

They are stored in fp32, fp16 or int8 (one scale per output channel).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import overload
from weakref import finalize

import torch
from torch import Tensor, nn

from jukebox_cli.engine import library
from jukebox_cli.model.cross_attention import CrossAttention
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import TransformerLayer

#: Formats that weights are stored in, as numbered in native/model.h.
WEIGHT_FORMATS: Mapping[str, int] = {"fp32": 0, "fp16": 1, "int8": 2}
#: Attention patterns, as numbered in native/model.h.
PATTERNS = ("row", "column", "previous", "dense", "prefix", "cross_attention")


class NativePrior:
    """The weights of a prior, packed for the kernels. Raises MemoryError if there is no room.

    The prior's own weights are not needed any more afterwards, except those of its conditioners.
    """

    def __init__(self, prior: Prior, weight_format: str, num_threads: int = 1) -> None:
        transformer = prior.transformer
        layers = transformer.layer_list()
        self.config = _native_config(prior)
        patterns = [PATTERNS.index(layer.attention.pattern) for layer in layers]
        kernels = library.chosen_kernels()
        assert kernels, "the native engine is not installed"
        self.codebook_size = prior.codebook_size
        self.start_embedding = prior.start_embedding.detach().float()
        self.handle = library.allocate(
            "model_new",
            self.config,
            (ctypes.c_int32 * len(patterns))(*patterns),
            WEIGHT_FORMATS[weight_format],
            kernels.encode(),
            num_threads,
        )
        finalize(self, library.function("model_free"), self.handle)
        for index, layer in enumerate(layers):
            self._set_layer(index, layer)
        self._set_ends(prior)

    def set_threads(self, count: int) -> None:
        """Shares the large layers among so many threads. No window may be computing meanwhile."""
        library.allocate("model_set_threads", self.handle, count)

    def _set_layer(self, index: int, layer: TransformerLayer) -> None:
        attention = layer.attention
        if isinstance(attention, CrossAttention):
            self._set_linear(index, "qkv", attention.query)
            self._set_linear(index, "key_value", attention.key_value)
        else:
            self._set_linear(index, "qkv", attention.qkv)
        self._set_linear(index, "out", attention.out)
        self._set_linear(index, "mlp_in", layer.mlp_in)
        self._set_linear(index, "mlp_out", layer.mlp_out)
        self._set_norm(index, "attention_norm", layer.attention_norm)
        self._set_norm(index, "mlp_norm", layer.mlp_norm)

    def _set_ends(self, prior: Prior) -> None:
        tokens, positions = prior.token_embedding.weight, prior.position_embedding
        embeddings = [fp32(tensor) for tensor in (tokens, positions)]
        library.allocate("model_set_embeddings", self.handle, *map(pointer, embeddings))
        if isinstance(prior.final_norm, nn.LayerNorm):
            self._set_norm(-1, "final_norm", prior.final_norm)
        if prior.output is None:
            self._set_matrix(-1, "output", prior.token_embedding.weight.T, None)
        else:
            self._set_linear(-1, "output", prior.output)

    def _set_linear(self, layer: int, name: str, linear: BatchInvariantLinear) -> None:
        self._set_matrix(layer, name, linear.weight, linear.bias)

    def _set_matrix(self, layer: int, name: str, weight: Tensor, bias: Tensor | None) -> None:
        weight = weight.detach()
        if weight.dtype not in (torch.float32, torch.float16):
            weight = weight.float()
        in_features, out_features = weight.shape
        is_fp16 = weight.dtype == torch.float16
        source = library.Source(weight.data_ptr(), is_fp16, *weight.stride())
        bias = fp32(bias)
        size = (in_features, out_features)
        library.allocate(
            "model_set_linear", self.handle, layer, name.encode(), *size, source, pointer(bias)
        )

    def _set_norm(self, layer: int, name: str, norm: nn.Module) -> None:
        assert isinstance(norm, nn.LayerNorm)
        weight, bias = fp32(norm.weight), fp32(norm.bias)
        arguments = (name.encode(), pointer(weight), pointer(bias))
        library.allocate("model_set_norm", self.handle, layer, *arguments)


def _native_config(prior: Prior) -> library.Config:
    transformer, config = prior.transformer, prior.config
    layers, layout = transformer.layer_list(), transformer.layout
    return library.Config(
        width=config.width,
        depth=len(layers),
        heads=transformer.heads,
        head_dim=transformer.head_dim,
        mlp_width=layers[0].mlp_in.weight.shape[1],
        codebook_size=prior.codebook_size,
        rows=layout.rows,
        columns=layout.columns,
        prefix_length=layout.prefix_length,
        prefix_span=layout.prefix_span,
        tied=prior.output is None,
        final_norm=isinstance(prior.final_norm, nn.LayerNorm),
        residual_scale=layers[0].residual_scale,
    )


@overload
def fp32(tensor: Tensor) -> Tensor: ...
@overload
def fp32(tensor: Tensor | None) -> Tensor | None: ...
def fp32(tensor: Tensor | None) -> Tensor | None:
    """The tensor as the kernels read it: contiguous, in fp32, without gradients."""
    return None if tensor is None else tensor.detach().float().contiguous()


def pointer(tensor: Tensor | None) -> int | None:
    """Where a tensor's numbers are; None for none."""
    return None if tensor is None else tensor.data_ptr()
