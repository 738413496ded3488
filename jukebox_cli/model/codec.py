"""Audio <-> tokens, piece by piece, so that a file of any length takes the same memory.

`TorchCodec` is the reference: it computes chunks that overlap by exactly the receptive field of the
network, so that the result is that of one pass over the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from jukebox_cli.audio.io import Audio
from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.model.vqvae import VQVAE

#: Samples that one pass of the encoders reads, without the overlap.
CHUNK_SAMPLES = 1 << 16

#: Samples that one pass of a decoder writes at least.
MIN_DECODER_CHUNK = 1 << 13


class Codec(Protocol):
    """A model's codec with what computes it: a `TorchCodec`, or `engine.native_codec.NativeCodec`.

    They agree but for rounding, which may change a code whose latent is as near to another.
    """

    @property
    def config(self) -> VQVAEConfig:
        """The shape of its networks."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def engine(self) -> str:
        """What computes: native or torch."""

    def encode(self, audio: Iterable[Audio]) -> list[np.ndarray]:
        """Blocks of mono audio -> the tokens of each level, int64 (T,), level 0 first.

        The end is padded with silence to a whole token of the top level.
        """

    def decode_stream(
        self,
        level: int,
        num_tokens: int,
        wait_for: Callable[[int], np.ndarray],
        num_samples: int,
        chunk_samples: int | None = None,
    ) -> Iterator[Audio]:
        """As `decode`, for tokens that are still sampled: the same blocks, to the bit.

        A block is decoded as soon as its tokens and those in the receptive field after it are
        there.

        num_tokens: how many there will be.
        wait_for: returns the tokens (T,) so far, when there are at least so many.
        """


def decode(
    codec: Codec,
    level: int,
    tokens: np.ndarray,
    num_samples: int | None = None,
    chunk_samples: int | None = None,
) -> Iterator[Audio]:
    """Tokens (T,) of one level -> blocks of audio, `num_samples` in total (default: all).

    chunk_samples: of a block, but for the last; by default what is fastest.
    """
    total = len(tokens) * codec.config.hop_lengths[level] if num_samples is None else num_samples
    return codec.decode_stream(level, len(tokens), lambda count: tokens, total, chunk_samples)


class ReceptiveField(NamedTuple):
    """How many inputs before and after its own place an output depends on."""

    before: int
    after: int


def receptive_field(network: nn.Module) -> ReceptiveField:
    """The receptive field of the convolutions of `network`, taken as one sequence.

    The place of output i is input i * s for a convolution of stride s, and input i // s for a
    transposed convolution.
    """
    before = after = 0
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv1d, nn.ConvTranspose1d))]
    for layer in reversed(layers):
        stride, padding = layer.stride[0], int(layer.padding[0])
        span = (layer.kernel_size[0] - 1) * layer.dilation[0]
        if isinstance(layer, nn.ConvTranspose1d):  # output i reads inputs (i + padding - k) / s
            before = (before + span - padding) // stride
            after = (stride - 1 + after + padding) // stride
        else:  # output i reads inputs i * s - padding + k * dilation
            before, after = before * stride + padding, after * stride + span - padding
    return ReceptiveField(before, after)


class TorchCodec:
    """A `Codec` that torch computes, on the device of the weights."""

    engine = "torch"

    def __init__(self, vqvae: VQVAE) -> None:
        self.vqvae = vqvae

    @property
    def config(self) -> VQVAEConfig:
        return self.vqvae.config

    @property
    def device(self) -> torch.device:
        return self.vqvae.device

    @torch.inference_mode()
    def encode(
        self, audio: Iterable[Audio], chunk_samples: int = CHUNK_SAMPLES
    ) -> list[np.ndarray]:
        """As `Codec.encode`, in chunks of so many samples."""
        vqvae, grid = self.vqvae, self.config.token_grid
        contexts = [
            ReceptiveField(grid.ceil_samples(field.before), grid.ceil_samples(field.after))
            for field in (
                receptive_field(vqvae.level(level).encoder) for level in range(grid.num_levels)
            )
        ]
        chunks = _chunks_with_context(audio, grid.ceil_samples(chunk_samples), _largest(contexts))
        tokens: list[list[np.ndarray]] = [[] for _ in contexts]
        for chunk in chunks:
            for level, context in enumerate(contexts):
                tokens[level].append(_encode_chunk(vqvae, level, chunk, context))
        return [np.concatenate(t) if t else np.zeros(0, np.int64) for t in tokens]

    @torch.inference_mode()
    def decode_stream(
        self,
        level: int,
        num_tokens: int,
        wait_for: Callable[[int], np.ndarray],
        num_samples: int,
        chunk_samples: int | None = None,
    ) -> Iterator[Audio]:
        """As `Codec.decode_stream`, by default in chunks of `decoder_chunk`."""
        network, hop_length = self.vqvae.level(level), self.config.hop_lengths[level]
        before, after = receptive_field(network.decoder)
        size = max(1, (chunk_samples or decoder_chunk(self.vqvae, level)) // hop_length)
        remaining = num_samples
        for start in range(0, num_tokens, size):
            first, end = max(0, start - before), min(start + size + after, num_tokens)
            codes = torch.from_numpy(wait_for(end)[first:end].astype(np.int64))
            audio = network.decode(codes[None].to(self.device))[0, 0].float().cpu().numpy()
            block = audio[(start - first) * hop_length :][: min(size * hop_length, remaining)]
            remaining -= len(block)
            yield block


def decoder_chunk(vqvae: VQVAE, level: int) -> int:
    """Samples that one pass of a decoder writes: few, so that a stream begins early, but so many
    that the overlap is at most an eighth more work."""
    overlap = sum(receptive_field(vqvae.level(level).decoder)) * vqvae.config.hop_lengths[level]
    return max(MIN_DECODER_CHUNK, 8 * overlap)


class ChunkWithContext(NamedTuple):
    """A chunk of a stream of audio and the samples around it."""

    before: Audio
    middle: Audio
    after: Audio


def _encode_chunk(
    vqvae: VQVAE, level: int, chunk: ChunkWithContext, context: ReceptiveField
) -> np.ndarray:
    """The tokens (T,) of a chunk at a level whose encoder needs `context` samples around it."""
    grid = vqvae.config.token_grid
    left = chunk.before[max(0, len(chunk.before) - context.before) :]
    samples = np.concatenate([left, chunk.middle, chunk.after[: context.after]])
    samples = np.pad(samples, (0, grid.ceil_samples(len(samples)) - len(samples)))
    x = torch.from_numpy(samples)[None, None].to(vqvae.device)  # (1, 1, N)
    first, count = len(left) // grid.hop_lengths[level], grid.num_tokens(level, len(chunk.middle))
    return vqvae.level(level).encode(x)[0, first : first + count].cpu().numpy()


def _chunks_with_context(
    blocks: Iterable[Audio], size: int, context: ReceptiveField
) -> Iterator[ChunkWithContext]:
    """Cut a stream into chunks of `size` samples, each with up to `context` samples around it."""
    stream = iter(blocks)
    buffer = np.zeros(0, np.float32)
    start, ended = 0, False  # where the next chunk starts in the buffer
    while True:
        while not ended and len(buffer) < start + size + context.after:
            block = next(stream, None)
            ended = block is None
            buffer = buffer if block is None else np.concatenate([buffer, block])
        end = start + size
        middle = buffer[start:end]
        if not len(middle):
            return
        before = buffer[max(0, start - context.before) : start]
        yield ChunkWithContext(before, middle, buffer[end : end + context.after])
        drop = max(0, end - context.before)
        buffer, start = buffer[drop:], end - drop


def _largest(fields: Sequence[ReceptiveField]) -> ReceptiveField:
    return ReceptiveField(max(f.before for f in fields), max(f.after for f in fields))
