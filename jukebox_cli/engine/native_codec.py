"""The codec on a CPU, by the kernels of `native/`: a `model.codec.Codec`.

Encoders and decoders are computed as streams, layer by layer: each layer keeps the rows that later
outputs read, so nothing is computed twice, and memory does not grow with the length of the audio.
Every sum runs in a fixed order in a lane of its own, so codes and samples are the same to the bit
whatever the size of blocks, the number of threads and the kernels. Against the networks themselves
they differ by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias
from weakref import finalize

import numpy as np
import torch
from torch import Tensor, nn

from jukebox_cli.audio.io import Audio
from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.engine import library
from jukebox_cli.engine.native_weights import fp32
from jukebox_cli.model.codec import receptive_field
from jukebox_cli.model.convolution import ResidualConv
from jukebox_cli.model.vqvae import VQVAE, Autoencoder, Decoder, Encoder

#: Samples that a stream computes at once: few enough for the cache, enough to share among threads.
STEP_SAMPLES = 1 << 13

#: Samples of a decoded block.
BLOCK_SAMPLES = 1 << 13


Convolution: TypeAlias = nn.Conv1d | nn.ConvTranspose1d


class NativeCodec:
    """A `model.codec.Codec` with the weights of a VQ-VAE on the CPU, packed when they are needed.

    num_threads: among which long stretches of time are shared out.
    """

    device, engine = torch.device("cpu"), "native"

    def __init__(self, vqvae: VQVAE, num_threads: int = 1) -> None:
        self.vqvae, self.num_threads = vqvae, num_threads
        self._networks: dict[tuple[int, bool], NativeNetwork] = {}

    @property
    def config(self) -> VQVAEConfig:
        return self.vqvae.config

    def encode(self, audio: Iterable[Audio]) -> list[np.ndarray]:
        """As `model.codec.Codec.encode`."""
        grid = self.config.token_grid
        streams = [self._open(level, is_encoder=True) for level in range(grid.num_levels)]
        tokens: list[list[np.ndarray]] = [[] for _ in streams]
        total = 0

        def feed(block: Audio) -> None:
            for stream, found in zip(streams, tokens, strict=True):
                found.append(stream.feed(block))

        for block in audio:
            total += len(block)
            feed(block)
        feed(np.zeros(grid.ceil_samples(total) - total, np.float32))
        for stream, found in zip(streams, tokens, strict=True):
            found.append(stream.finish())
        return [np.concatenate(each) for each in tokens]

    def decode_stream(
        self,
        level: int,
        num_tokens: int,
        wait_for: Callable[[int], np.ndarray],
        num_samples: int,
        chunk_samples: int | None = None,
    ) -> Iterator[Audio]:
        """As `model.codec.Codec.decode_stream`."""
        stream, hop_length = self._open(level, is_encoder=False), self.config.hop_lengths[level]
        after = receptive_field(self.vqvae.level(level).decoder).after
        size = max(1, (chunk_samples or BLOCK_SAMPLES) // hop_length)
        decoded, fed, remaining = np.zeros(0, np.float32), 0, num_samples
        for start in range(0, num_tokens, size):
            end = min(start + size + after, num_tokens)
            parts = [decoded, stream.feed(wait_for(end)[fed:end])]
            if fed < end == num_tokens:
                parts.append(stream.finish())
            decoded, fed = np.concatenate(parts), end
            block = decoded[: min(size * hop_length, remaining)]
            decoded, remaining = decoded[size * hop_length :], remaining - len(block)
            yield block

    def network(self, level: int, is_encoder: bool) -> NativeNetwork:
        """The packed encoder or decoder of a level."""
        place = (level, is_encoder)
        if place not in self._networks:
            self._networks[place] = NativeNetwork(self.vqvae.level(level), is_encoder)
        return self._networks[place]

    def _open(self, level: int, is_encoder: bool) -> NativeStream:
        network, hop_length = self.network(level, is_encoder), self.config.hop_lengths[level]
        return NativeStream(network, hop_length, self.num_threads)


class NativeNetwork:
    """The encoder or the decoder of a level with its codebook, packed for the kernels. Raises
    MemoryError if there is no room."""

    def __init__(self, level: Autoencoder, is_encoder: bool) -> None:
        kernels = library.chosen_kernels()
        assert kernels, "the native engine is not installed"
        self.is_encoder = is_encoder
        vectors = fp32(level.codebook.vectors)
        self.codebook_size, channels = vectors.shape
        norms = vectors.square().sum(1)
        pointers = (vectors.data_ptr(), norms.data_ptr())
        shape = (is_encoder, self.codebook_size, channels)
        self.handle = library.allocate("network_new", kernels.encode(), *shape, *pointers)
        finalize(self, library.function("network_free"), self.handle)
        for layer in _layers(level.encoder if is_encoder else level.decoder):
            self._add(layer, is_audio=layer is level.decoder.out)

    def _add(self, layer: nn.Module, is_audio: bool) -> None:
        """Adds a layer. is_audio: whether its output is."""
        if isinstance(layer, ResidualConv):
            shape = _residual_shape(layer)
            convolutions: list[Convolution] = [layer.dilated, layer.pointwise]
        else:
            assert isinstance(layer, nn.Conv1d | nn.ConvTranspose1d)
            shape, convolutions = _shape(layer, is_audio), [layer]
        tensors: list[Tensor] = []
        for each in convolutions:
            assert each.bias is not None
            tensors += [_matrix(each), fp32(each.bias)]
        pointers = [tensor.data_ptr() for tensor in tensors] + [None] * (4 - len(tensors))
        library.allocate("network_add", self.handle, shape, *pointers)


class NativeStream:
    """A network that is given its input piece by piece: audio, or the codes of a decoder. Use from
    one thread at a time.

    hop_length: samples per code.
    """

    def __init__(self, network: NativeNetwork, hop_length: int, num_threads: int) -> None:
        self.network, self.hop_length = network, hop_length
        self.num_inputs = self.num_outputs = 0
        step = STEP_SAMPLES if network.is_encoder else max(1, STEP_SAMPLES // hop_length)
        self.handle = library.allocate("stream_new", network.handle, num_threads, step)
        finalize(self, _free_stream, self.handle, network)

    def feed(self, inputs: np.ndarray) -> np.ndarray:
        """The outputs that can be computed with the next inputs (N,)."""
        dtype = np.float32 if self.network.is_encoder else np.int64
        inputs = np.ascontiguousarray(inputs, dtype)
        if dtype is np.int64 and inputs.size:
            _validate_codes(inputs, self.network.codebook_size)
        self.num_inputs += len(inputs)
        return self._outputs(partial(_feed, self.handle, inputs))

    def finish(self) -> np.ndarray:
        """The outputs that are left at the end."""
        return self._outputs(partial(library.function("stream_finish"), self.handle))

    def _outputs(self, compute: Callable[[int], int]) -> np.ndarray:
        is_encoder, hop_length = self.network.is_encoder, self.hop_length
        total = self.num_inputs // hop_length if is_encoder else self.num_inputs * hop_length
        outputs = np.empty(total - self.num_outputs, np.int64 if is_encoder else np.float32)
        count = compute(outputs.ctypes.data)
        self.num_outputs += count
        return outputs[:count]


def _feed(handle: int, inputs: np.ndarray, outputs: int) -> int:
    count: int = library.function("stream_feed")(handle, inputs.ctypes.data, len(inputs), outputs)
    return count


def _free_stream(handle: int, network: NativeNetwork) -> None:
    """Frees a stream, while its network is still there."""
    library.function("stream_free")(handle)


def _validate_codes(codes: np.ndarray, codebook_size: int) -> None:
    lowest, highest = int(codes.min()), int(codes.max())
    if lowest < 0 or highest >= codebook_size:
        wrong = lowest if lowest < 0 else highest
        raise IndexError(f"codes must be from 0 to {codebook_size - 1}, not {wrong}")


def _layers(network: Encoder | Decoder) -> Iterator[nn.Module]:
    """The layers of an encoder or decoder in the order in which they are computed."""

    def visit(module: nn.Module) -> Iterator[nn.Module]:
        if isinstance(module, nn.Sequential | nn.ModuleList | Encoder | Decoder):
            for child in module.children():
                yield from visit(child)
        else:
            yield module

    return visit(network)


def _shape(layer: Convolution, is_audio: bool = False) -> library.ConvolutionShape:
    is_transposed = isinstance(layer, nn.ConvTranspose1d)
    kind = "transposed" if is_transposed else "to_one" if is_audio else "plain"
    return library.ConvolutionShape(
        kind=library.CONVOLUTION_KINDS.index(kind),
        in_channels=layer.in_channels,
        out_channels=layer.out_channels,
        kernel=layer.kernel_size[0],
        stride=layer.stride[0],
        dilation=layer.dilation[0],
        padding=int(layer.padding[0]),
    )


def _residual_shape(layer: ResidualConv) -> library.ConvolutionShape:
    shape = _shape(layer.dilated)
    shape.kind = library.CONVOLUTION_KINDS.index("residual")
    shape.hidden_channels, shape.out_channels = shape.out_channels, layer.pointwise.out_channels
    shape.residual_scale = layer.residual_scale
    return shape


def _matrix(layer: Convolution) -> Tensor:
    """The weights as (kernel * in, out); of a transposed convolution as (stride * 2 * in, out): for
    each phase, the taps of the two inputs that its outputs read, the earlier first."""
    if isinstance(layer, nn.Conv1d):  # (out, in, kernel)
        return fp32(layer.weight.permute(2, 1, 0).flatten(0, 1))
    stride, padding = layer.stride[0], int(layer.padding[0])
    taps = layer.weight.permute(2, 0, 1)  # (2 * stride, in, out)
    firsts = [(phase + padding) % stride for phase in range(stride)]
    return fp32(torch.cat([taps[tap] for first in firsts for tap in (first + stride, first)]))
