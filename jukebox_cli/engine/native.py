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
        self.handle = library.function("model_new")(
            self.config,
            (ctypes.c_int32 * len(patterns))(*patterns),
            WEIGHT_FORMATS[weight_format],
            kernels.encode(),
            num_threads,
        )
        if not self.handle:
            raise MemoryError("the native engine has no memory for the prior")
        finalize(self, library.function("model_free"), self.handle)
        for index, layer in enumerate(layers):
            self._set_layer(index, layer)
        self._set_ends(prior)

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
        library.function("model_set_embeddings")(self.handle, *map(_pointer, embeddings))
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
        library.function("model_set_linear")(
            self.handle, layer, name.encode(), in_features, out_features, source, _pointer(bias)
        )

    def _set_norm(self, layer: int, name: str, norm: nn.Module) -> None:
        assert isinstance(norm, nn.LayerNorm)
        weight, bias = _fp32(norm.weight.detach()), _fp32(norm.bias.detach())
        arguments = (name.encode(), _pointer(weight), _pointer(bias))
        library.function("model_set_norm")(self.handle, layer, *arguments)


class NativeWindow:
    """One window of a batch: its conditions, its tokens, and the keys and values of its positions.

    `tokens` (B, T) hold the prompt; `sample` adds to them. With guidance there are 2B rows of
    conditions, the unconditional ones last. Use from one thread at a time.
    """

    def __init__(self, model: NativePrior, conditions: Conditioning, tokens: Tensor) -> None:
        self.model, self.tokens = model, tokens
        prefix = conditions.prefix
        start = model.start_embedding[None] if conditions.start is None else conditions.start
        self.rows = _num_rows(conditions, len(tokens))
        self.prefix_length = 0 if prefix is None else prefix.ids.shape[1]
        self.vocab_size = model.codebook_size + (0 if prefix is None else len(prefix.embeddings))
        self.ids = self._make_ids(prefix)  # (R, P + T), written by the kernels
        self.kept = [  # the kernels read them as long as the window lives
            _fp32(start.expand(self.rows, -1)),
            _fp32(conditions.per_token),
            _fp32(None if prefix is None else prefix.embeddings),
            _fp32(None if prefix is None else output_weight(prefix)),
            _fp32(conditions.memory),
            _contiguous(conditions.memory_mask),
            _fp32(conditions.query_encoding),
        ]
        self.handle = self._open(conditions)
        if not self.handle:
            raise MemoryError("the native engine has no memory for the window")
        finalize(self, _free_window, self.handle, model)

    def _open(self, conditions: Conditioning) -> int | None:
        start, per_token, characters, output, memory, mask, encoding = map(_pointer, self.kept)
        num_characters = self.vocab_size - self.model.codebook_size
        memory_length = 0 if conditions.memory is None else conditions.memory.shape[1]
        handle: int | None = library.function("window_new")(
            self.model.handle,
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
        return handle

    def _make_ids(self, prefix: Prefix | None) -> Tensor:
        """The prefix's characters, numbered after the codes, and the tokens: int64 (R, P + T)."""
        tokens = self.tokens.repeat(self.rows // len(self.tokens), 1)
        if prefix is None:
            return tokens.contiguous()
        return torch.cat([prefix.ids + self.model.codebook_size, tokens], dim=1).contiguous()

    def prefill(self, first: int, end: int) -> None:
        """Fills the caches with tokens `first` to `end` - 1; with the prefix too if `first` is 0."""
        start = first + self.prefix_length if first else 0
        stop = end + self.prefix_length
        library.function("window_prefill")(*self._arguments(), start, stop)

    def logits(self, position: int) -> Tensor:
        """Logits (R, K + V) of the token at a position; those before it must be in the caches."""
        logits = torch.empty(self.rows, self.vocab_size)
        at = position + self.prefix_length
        library.function("window_step")(*self._arguments(), at, _pointer(logits))
        return logits

    def sample(
        self,
        first: int,
        end: int,
        sample_from: Tensor,
        uniform: Tensor,
        parameters: SamplingParameters,
    ) -> int:
        """Samples the tokens at positions `first` to `end` - 1, of each item from `sample_from` (B,)
        on, with the numbers `uniform` (B, end - first).

        Returns `end`, or the first position where no token could be drawn from the logits.
        """
        uniform = uniform.double().contiguous()
        reached: int = library.function("window_sample")(
            *self._arguments(),
            first + self.prefix_length,
            end + self.prefix_length,
            _pointer((sample_from + self.prefix_length).contiguous()),
            _pointer(uniform),
            uniform.stride(0),
            _sampling(parameters, self.rows > len(self.tokens)),
        )
        self.tokens[:, first:end] = self.ids[: len(self.tokens), self.prefix_length :][:, first:end]
        return reached - self.prefix_length

    def set_tokens(self, position: int) -> None:
        """Takes over the tokens (B,) at a position that were sampled elsewhere."""
        self.ids[:, position + self.prefix_length] = self.tokens[:, position].repeat(
            self.rows // len(self.tokens)
        )

    def _arguments(self) -> tuple[int | None, int, int]:
        return self.handle, self.ids.data_ptr(), self.ids.stride(0)


def _free_window(handle: int, model: NativePrior) -> None:
    """Frees a window, while its model is still there."""
    library.function("window_free")(handle)


def _num_rows(conditions: Conditioning, batch: int) -> int:
    """Rows of a batch's conditions: with guidance twice as many as items."""
    prefix_ids = None if conditions.prefix is None else conditions.prefix.ids
    tensors = (conditions.start, conditions.per_token, conditions.memory, prefix_ids)
    return next((len(tensor) for tensor in tensors if tensor is not None), batch)


def _sampling(parameters: SamplingParameters, guided: bool) -> library.Sampling:
    p = parameters
    return library.Sampling(
        guided, p.greedy, p.top_k, p.temperature, p.top_p, p.min_p, p.guidance
    )


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
