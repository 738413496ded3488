"""Audio <-> tokens in chunks: results equal those of one pass, and memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.model import codec
from jukebox_cli.model.codec import TorchCodec
from jukebox_cli.model.vqvae import VQVAE

HOP_LENGTHS = (4, 8, 16)


@cache
def make_vqvae() -> VQVAE:
    config = VQVAEConfig(
        sample_rate=8000,
        strides=((2, 2), (2,), (2,)),
        codebook_size=32,
        embedding_dim=4,
        widths=(6, 6, 4),
        depths=(2, 1, 1),
    )
    torch.manual_seed(0)
    vqvae = VQVAE(config).eval()
    with torch.no_grad():
        for parameter in vqvae.parameters():
            parameter.mul_(1.5)
        for level in range(3):
            vqvae.level(level).codebook.vectors.normal_(0, 0.5)
    return vqvae


def make_codec() -> TorchCodec:
    return TorchCodec(make_vqvae())


@cache
def make_audio(length: int) -> np.ndarray:
    return np.random.default_rng(length).normal(size=length).astype(np.float32)


@cache
@torch.inference_mode()
def encode_at_once(level: int, length: int) -> np.ndarray:
    padded = np.pad(make_audio(length), (0, -length % HOP_LENGTHS[-1]))
    return make_vqvae().level(level).encode(torch.from_numpy(padded)[None, None])[0].numpy()


@torch.inference_mode()
def decode_at_once(level: int, tokens: np.ndarray) -> np.ndarray:
    return make_vqvae().level(level).decode(torch.from_numpy(tokens)[None])[0, 0].numpy()


def blocks(audio: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    """The audio in blocks of these sizes, repeated."""
    start = 0
    while start < len(audio):
        for size in sizes:
            yield audio[start : start + size]
            start += size


lengths, chunk_sizes = st.integers(1, 2000), st.integers(1, 1000)


@settings(max_examples=50, deadline=None)
@given(lengths, chunk_sizes, st.lists(st.integers(0, 700), min_size=1).filter(any))
@example(1, 1, [1])
@example(16, 16, [16])
@example(15, 1000, [1])
@example(2000, 16, [1999])
@example(777, 33, [0, 5, 0])
def test_encoding_in_chunks_equals_encoding_at_once(
    length: int, chunk_samples: int, block_sizes: list[int]
) -> None:
    audio = blocks(make_audio(length), block_sizes)
    for level, tokens in enumerate(make_codec().encode(audio, chunk_samples)):
        np.testing.assert_array_equal(tokens, encode_at_once(level, length))
        assert tokens.dtype == np.int64
        assert len(tokens) == -(-length // 16) * (16 // HOP_LENGTHS[level])


@settings(max_examples=50, deadline=None)
@given(lengths, chunk_sizes, st.integers(0, 2))
@example(1, 1, 0)
@example(1, 1000, 2)
@example(1999, 16, 1)
def test_decoding_in_chunks_equals_decoding_at_once(
    length: int, chunk_samples: int, level: int
) -> None:
    tokens = encode_at_once(level, length)
    decoded = codec.decode(make_codec(), level, tokens, length, chunk_samples)
    audio = np.concatenate(list(decoded))
    assert audio.dtype == np.float32
    np.testing.assert_allclose(audio, decode_at_once(level, tokens)[:length], atol=1e-6, rtol=0)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_without_a_length_all_tokens_are_decoded(level: int) -> None:
    tokens = encode_at_once(level, 100)
    audio = np.concatenate(list(codec.decode(make_codec(), level, tokens, chunk_samples=32)))
    assert len(audio) == 112
    np.testing.assert_allclose(audio, decode_at_once(level, tokens), atol=1e-6, rtol=0)


def test_empty_audio_has_no_tokens_and_no_tokens_are_empty_audio() -> None:
    assert [len(tokens) for tokens in make_codec().encode([])] == [0, 0, 0]
    assert list(codec.decode(make_codec(), 0, np.zeros(0, np.int64))) == []


def make_linear(network: nn.Module) -> nn.Module:
    """Set weights such that no rectifier is ever closed: every connected input has a gradient."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.1)
    return network.double()


def influencing_inputs(outputs: Tensor, x: Tensor) -> tuple[int, int]:
    """The first and the last input that the outputs depend on."""
    (gradient,) = torch.autograd.grad(outputs.sum(), x, retain_graph=True)
    positions = gradient[0].abs().sum(0).nonzero()[:, 0]
    return int(positions[0]), int(positions[-1])


STRIDES = [((2,),), ((4, 2),), ((2, 2), (2,)), ((8,), (4,), (2,))]
Strides = tuple[tuple[int, ...], ...]


def make_config(strides: Strides, depth: int) -> VQVAEConfig:
    levels = len(strides)
    return VQVAEConfig(
        strides=strides, embedding_dim=2, widths=(2,) * levels, depths=(depth,) * levels
    )


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("depth", [1, 3])
def test_a_token_depends_on_exactly_the_samples_of_its_receptive_field(
    strides: Strides, depth: int
) -> None:
    config = make_config(strides, depth)
    encoder = make_linear(VQVAE(config).level(len(strides) - 1).encoder)
    hop_length, field = config.hop_lengths[-1], codec.receptive_field(encoder)
    num_tokens = 2 * (field.before + field.after) // hop_length + 3
    x = torch.ones(1, 1, num_tokens * hop_length, dtype=torch.double, requires_grad=True)
    middle = num_tokens // 2
    expected = middle * hop_length - field.before, middle * hop_length + field.after
    assert influencing_inputs(encoder(x)[0, :, middle], x) == expected


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("depth", [1, 3])
def test_a_sample_depends_on_exactly_the_tokens_of_its_receptive_field(
    strides: Strides, depth: int
) -> None:
    config = make_config(strides, depth)
    decoder = make_linear(VQVAE(config).level(len(strides) - 1).decoder)
    hop_length, field = config.hop_lengths[-1], codec.receptive_field(decoder)
    num_tokens = 2 * (field.before + field.after) + 3
    x = torch.ones(1, 2, num_tokens, dtype=torch.double, requires_grad=True)
    middle = num_tokens // 2
    samples = decoder(x)[0, 0, middle * hop_length : (middle + 1) * hop_length]
    assert influencing_inputs(samples, x) == (middle - field.before, middle + field.after)


class Recorder:
    """Records the length of each network's inputs and how much of the source was read by then."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.num_read = 0
        self.num_read_before: list[int] = []

    def source(self, total: int, size: int) -> Iterator[np.ndarray]:
        for block in blocks(make_audio(total), [size]):
            self.num_read += len(block)
            yield block

    def __call__(self, module: nn.Module, inputs: tuple[Tensor]) -> None:
        self.lengths.append(inputs[0].shape[2])
        self.num_read_before.append(self.num_read)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    levels = [make_vqvae().level(level) for level in range(3)]
    networks = [network for level in levels for network in (level.encoder, level.decoder)]
    hooks = [network.register_forward_pre_hook(recorder) for network in networks]
    yield recorder
    for hook in hooks:
        hook.remove()


def test_encoding_holds_no_more_than_a_chunk_and_its_context(recorder: Recorder) -> None:
    chunk, block = 160, 10
    fields = [codec.receptive_field(make_vqvae().level(level).encoder) for level in range(3)]
    before, after = (-(-max(sides) // 16) * 16 for sides in zip(*fields, strict=True))
    make_codec().encode(recorder.source(2000, block), chunk)
    assert max(recorder.lengths) <= before + chunk + after < 2000
    for i, num_read in enumerate(recorder.num_read_before[::3]):
        assert num_read <= (i + 1) * chunk + after + block
    assert recorder.num_read == 2000


def test_blocks_are_decoded_lazily(recorder: Recorder) -> None:
    tokens, chunk = encode_at_once(0, 2000), 160
    recorder.lengths.clear()
    field = codec.receptive_field(make_vqvae().level(0).decoder)
    decoded = codec.decode(make_codec(), 0, tokens, 2000, chunk)
    assert len(next(decoded)) == chunk
    assert len(recorder.lengths) == 1
    assert [len(block) for block in decoded] == [chunk] * 11 + [80]
    assert max(recorder.lengths) <= field.before + chunk // 4 + field.after < 500


def test_tokens_are_decoded_as_soon_as_their_receptive_field_is_there() -> None:
    vqvae = make_vqvae()
    tokens = np.random.default_rng(0).integers(0, 8, 100)
    hop_length = vqvae.config.hop_lengths[0]
    after = codec.receptive_field(vqvae.level(0).decoder).after
    waits: list[int] = []

    def wait_for(count: int) -> np.ndarray:
        waits.append(count)
        return tokens[:count]  # the rest is not sampled yet

    total, chunk = 100 * hop_length, 30 * hop_length
    live = list(make_codec().decode_stream(0, 100, wait_for, total, chunk))
    assert waits == [min(end + after, 100) for end in (30, 60, 90, 120)]
    whole = list(codec.decode(make_codec(), 0, tokens, chunk_samples=chunk))
    assert all(np.array_equal(a, b) for a, b in zip(live, whole, strict=True))


def test_the_overlap_of_decoder_chunks_is_at_most_an_eighth() -> None:
    vqvae = make_vqvae()
    for level, hop_length in enumerate(vqvae.config.hop_lengths):
        overlap = sum(codec.receptive_field(vqvae.level(level).decoder)) * hop_length
        chunk = codec.decoder_chunk(vqvae, level)
        assert chunk >= max(8 * overlap, codec.MIN_DECODER_CHUNK)
