"""The native engine: a prior's steps on a CPU, by the kernels of `native/`.

Weights are stored in fp32, fp16 or int8 (one scale per output channel); all arithmetic is fp32.
Every sum runs in a fixed order in a lane of its own, so the logits of an item are the same to the
bit whatever the batch, the number of threads, the kernels, and whether a position is prefilled or
sampled. Against `Prior.step` they differ by rounding.

Shapes: B batch, T tokens of a window, P prefix positions, W width, K codes of the codebook,
V characters of the prefix's vocabulary.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn

from jukebox_cli.engine import library
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.cross_attention import CrossAttention
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior, output_weight
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
        self.handle = _allocate(
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
        _allocate("model_set_threads", self.handle, count)

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
        embeddings = [_fp32(tensor.detach()) for tensor in (tokens, positions)]
        _allocate("model_set_embeddings", self.handle, *map(_pointer, embeddings))
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
        bias = None if bias is None else _fp32(bias.detach())
        size = (in_features, out_features)
        _allocate(
            "model_set_linear", self.handle, layer, name.encode(), *size, source, _pointer(bias)
        )

    def _set_norm(self, layer: int, name: str, norm: nn.Module) -> None:
        assert isinstance(norm, nn.LayerNorm)
        weight, bias = _fp32(norm.weight.detach()), _fp32(norm.bias.detach())
        arguments = (name.encode(), _pointer(weight), _pointer(bias))
        _allocate("model_set_norm", self.handle, layer, *arguments)


class NativeEngine:
    """Samples with the native kernels."""

    def __init__(self, weights: NativePrior) -> None:
        self.weights = weights

    def open_window(
        self, conditions: Conditioning, tokens: Tensor, rows: int, num_primed: int, num_known: int
    ) -> NativeWindow:
        window = NativeWindow(self.weights, conditions, tokens, rows)
        window.prefill(num_known)
        return window


class NativeWindow:
    """An `engines.SamplingWindow`. Use from one thread at a time."""

    def __init__(
        self, weights: NativePrior, conditions: Conditioning, tokens: Tensor, rows: int
    ) -> None:
        self.weights, self.tokens, self.rows, self.next_position = weights, tokens, rows, 0
        prefix = conditions.prefix
        start = weights.start_embedding[None] if conditions.start is None else conditions.start
        self.prefix_length = 0 if prefix is None else prefix.ids.shape[1]
        self.vocab_size = weights.codebook_size + (0 if prefix is None else len(prefix.embeddings))
        self.ids = self._make_ids(prefix)  # (R, P + T), which the kernels read and write
        self.kept = [  # the kernels read them as long as the window lives
            _fp32(start.expand(rows, -1)),
            _fp32(conditions.per_token),
            _fp32(None if prefix is None else prefix.embeddings),
            _fp32(None if prefix is None else output_weight(prefix)),
            _fp32(conditions.memory),
            _contiguous(conditions.memory_mask),
            _fp32(conditions.query_encoding),
        ]
        self.handle = self._open(conditions)
        finalize(self, _free_window, self.handle, weights)

    def _open(self, conditions: Conditioning) -> int:
        start, per_token, characters, output, memory, mask, encoding = map(_pointer, self.kept)
        num_characters = self.vocab_size - self.weights.codebook_size
        memory_length = 0 if conditions.memory is None else conditions.memory.shape[1]
        return _allocate(
            "window_new",
            self.weights.handle,
            self.rows,
            start,
            per_token,
            num_characters,
            characters,
            output,
            memory_length,
            memory,
            mask,
            encoding,
        )

    def _make_ids(self, prefix: Prefix | None) -> Tensor:
        """The prefix's characters, numbered after the codes, and the tokens: int64 (R, P + T)."""
        tokens = self.tokens.repeat(self.rows // len(self.tokens), 1)
        if prefix is None:
            return tokens
        return torch.cat([prefix.ids + self.weights.codebook_size, tokens], dim=1)

    def prefill(self, end: int) -> None:
        """Computes the keys and values of the prefix and of positions up to `end`."""
        first = self.next_position + self.prefix_length if self.next_position else 0
        self._call("window_prefill", first, end + self.prefix_length)
        self.next_position = end

    def logits(self, position: int) -> Tensor:
        if position:  # a token that was drawn elsewhere
            previous = self.tokens[:, position - 1]
            self.ids[:, self.prefix_length + position - 1].view(-1, len(previous)).copy_(previous)
        logits = torch.empty(self.rows, self.vocab_size)
        self._call("window_step", position + self.prefix_length, _pointer(logits))
        self.next_position = position + 1
        return logits

    def sample(
        self,
        first: int,
        end: int,
        sample_from: Tensor,
        uniform: Tensor,
        parameters: SamplingParameters,
    ) -> int:
        offset, batch = self.prefix_length, len(self.tokens)
        uniform, sample_from = uniform.contiguous(), sample_from + offset
        reached: int = self._call(
            "window_sample",
            first + offset,
            end + offset,
            _pointer(sample_from),
            _pointer(uniform),
            uniform.stride(0),
            _sampling(parameters, self.rows > batch),
        )
        self.tokens[:, first:end] = self.ids[:batch, first + offset : end + offset]
        self.next_position = reached - offset
        return self.next_position

    def _call(self, name: str, *arguments: object) -> Any:
        ids, stride = self.ids.data_ptr(), self.ids.stride(0)
        return library.function(name)(self.handle, ids, stride, *arguments)


def _allocate(name: str, *arguments: object) -> int:
    """Calls a function of the library that allocates. MemoryError if it could not."""
    return library.require_memory(library.function(name)(*arguments))


def _free_window(handle: int, weights: NativePrior) -> None:
    """Frees a window, while its weights are still there."""
    library.function("window_free")(handle)


def _sampling(parameters: SamplingParameters, guided: bool) -> library.Sampling:
    p = parameters
    return library.Sampling(guided, p.greedy, p.top_k, p.temperature, p.top_p, p.min_p, p.guidance)


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


def _fp32(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.float().contiguous()


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
