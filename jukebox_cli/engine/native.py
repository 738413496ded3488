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
from typing import Any
from weakref import finalize

import torch
from torch import Tensor

from jukebox_cli.engine import library
from jukebox_cli.engine.lookahead import Lookahead
from jukebox_cli.engine.native_weights import NativePrior, fp32, pointer
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.prior import output_weight


class NativeEngine:
    """Samples with the native kernels."""

    def __init__(self, weights: NativePrior, lookahead: Lookahead | None = None) -> None:
        self.weights, self.lookahead = weights, lookahead

    def open_window(
        self, conditions: Conditioning, tokens: Tensor, rows: int, num_primed: int, num_known: int
    ) -> NativeWindow:
        window = NativeWindow(self.weights, conditions, tokens, rows, self.lookahead)
        window.prefill(num_known)
        return window


class NativeWindow:
    """An `engines.SamplingWindow`. Use from one thread at a time.

    lookahead: chooses how many positions of a single item are computed per pass; None: one.
    """

    def __init__(
        self,
        weights: NativePrior,
        conditions: Conditioning,
        tokens: Tensor,
        rows: int,
        lookahead: Lookahead | None = None,
    ) -> None:
        self.weights, self.tokens, self.rows, self.next_position = weights, tokens, rows, 0
        self.lookahead = lookahead if rows == 1 else None
        prefix = conditions.prefix
        start = weights.start_embedding[None] if conditions.start is None else conditions.start
        self.prefix_length = 0 if prefix is None else prefix.ids.shape[1]
        self.vocab_size = weights.codebook_size + (0 if prefix is None else len(prefix.embeddings))
        self.ids = self._make_ids(prefix)  # (R, P + T), which the kernels read and write
        self.kept = [  # the kernels read them as long as the window lives
            fp32(start.expand(rows, -1)),
            fp32(conditions.per_token),
            fp32(None if prefix is None else prefix.embeddings),
            fp32(None if prefix is None else output_weight(prefix)),
            fp32(conditions.memory),
            _contiguous(conditions.memory_mask),
            fp32(conditions.query_encoding),
        ]
        self.handle = self._open(conditions)
        finalize(self, _free_window, self.handle, weights)

    def _open(self, conditions: Conditioning) -> int:
        start, per_token, characters, output, memory, mask, encoding = map(pointer, self.kept)
        num_characters = self.vocab_size - self.weights.codebook_size
        memory_length = 0 if conditions.memory is None else conditions.memory.shape[1]
        return library.allocate(
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
        self._call("window_step", position + self.prefix_length, pointer(logits))
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
        if self.lookahead:
            with self.lookahead.measure(end - first) as count:
                return self.sample_ahead(first, end, sample_from, uniform, parameters, count)[0]
        offset, batch = self.prefix_length, len(self.tokens)
        uniform, sample_from = uniform.contiguous(), sample_from + offset
        reached: int = self._call(
            "window_sample",
            first + offset,
            end + offset,
            pointer(sample_from),
            pointer(uniform),
            uniform.stride(0),
            _sampling(parameters, self.rows > batch),
        )
        self._keep(first, end, reached)
        return self.next_position

    def sample_ahead(
        self,
        first: int,
        end: int,
        sample_from: Tensor,
        uniform: Tensor,
        parameters: SamplingParameters,
        lookahead: int,
    ) -> tuple[int, int]:
        """As `sample`, for a single row: the same tokens, with up to `lookahead` positions
        computed per pass, at most 16 (see native/sample.h). Also returns the number of passes."""
        offset, num_passes = self.prefix_length, ctypes.c_int64()
        uniform = uniform.contiguous()
        reached: int = self._call(
            "window_sample_ahead",
            first + offset,
            end + offset,
            int(sample_from[0]) + offset,
            pointer(uniform),
            _sampling(parameters, False),
            lookahead,
            num_passes,
        )
        self._keep(first, end, reached)
        return self.next_position, num_passes.value

    def _keep(self, first: int, end: int, reached: int) -> None:
        """Copies what was sampled to the window's tokens. `reached` counts the prefix."""
        offset, batch = self.prefix_length, len(self.tokens)
        self.tokens[:, first:end] = self.ids[:batch, first + offset : end + offset]
        self.next_position = reached - offset

    def _call(self, name: str, *arguments: object) -> Any:
        ids, stride = self.ids.data_ptr(), self.ids.stride(0)
        return library.function(name)(self.handle, ids, stride, *arguments)


def _free_window(handle: int, weights: NativePrior) -> None:
    """Frees a window, while its weights are still there."""
    library.function("window_free")(handle)


def _sampling(parameters: SamplingParameters, guided: bool) -> library.Sampling:
    p = parameters
    return library.Sampling(guided, p.greedy, p.top_k, p.temperature, p.top_p, p.min_p, p.guidance)


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()
