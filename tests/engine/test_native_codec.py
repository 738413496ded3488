"""The native codec: what torch computes, and the same bits for blocks of any size, any number of
threads, and all kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.engine import library, native_codec
from jukebox_cli.engine.native_codec import NativeCodec, NativeNetwork, NativeStream
from jukebox_cli.model.codec import Codec, TorchCodec, decode, receptive_field
from jukebox_cli.model.vqvae import VQVAE
from support.engines import each_kernels, needs_native_engine

pytestmark = needs_native_engine

#: Shapes of codecs: widths that do not fill lanes and tiles, strides, dilations, one channel.
CONFIGS = {
    "narrow": VQVAEConfig(8000, ((2, 2), (2,), (2,)), 32, 4, (6, 6, 4), (2, 1, 1)),
    "mini": VQVAEConfig(8000, ((4, 2), (2, 2)), 100, 24, (48, 72), (3, 2)),
    "wide": VQVAEConfig(8000, ((6,), (2,)), 40, 64, (64, 80), (3, 5), 3, 2, 0.5),
    "other decoders": VQVAEConfig(
        8000, ((4, 2), (2,)), 40, 8, (8, 8), (2, 1), 3, None, 1.0, (48, 100), (4, 3)
    ),
    "one channel": VQVAEConfig(8000, ((2,), (2,)), 5, 1, (1, 1), (2, 2)),
}
each_config = pytest.mark.parametrize("name", CONFIGS)


@cache
def make_vqvae(name: str) -> VQVAE:
    torch.manual_seed(0)
    vqvae = VQVAE(CONFIGS[name]).eval()
    with torch.no_grad():
        for parameter in vqvae.parameters():
            parameter.mul_(1.5)
        for level in range(vqvae.config.num_levels):
            autoencoder = vqvae.level(level)
            latents = autoencoder.encoder(torch.from_numpy(make_audio(2304))[None, None])
            generator = torch.Generator().manual_seed(level)
            autoencoder.codebook.initialize_from_batch(latents, generator)
    return vqvae


@cache
def make_audio(length: int) -> np.ndarray:
    return np.random.default_rng(length).normal(size=length).astype(np.float32)


def make_tokens(name: str, level: int, count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(CONFIGS[name].codebook_size, size=count)


def make_codec(name: str, kernels: str | None = None, num_threads: int = 1) -> NativeCodec:
    codec = NativeCodec(make_vqvae(name), num_threads)
    with patch.dict(os.environ, {library.KERNELS_VARIABLE: kernels} if kernels else {}):
        for level in range(codec.config.num_levels):
            for is_encoder in (False, True):
                codec.network(level, is_encoder)
    return codec


def decoded(codec: Codec, level: int, tokens: np.ndarray, chunk: int | None = None) -> np.ndarray:
    return np.concatenate(list(decode(codec, level, tokens, chunk_samples=chunk)))


def is_near_tie(name: str, level: int, audio: np.ndarray, place: int, codes: list[int]) -> bool:
    """Whether the latent of a token is as near to one code as to the other, up to rounding."""
    autoencoder = make_vqvae(name).level(level)
    padded = np.pad(audio, (0, -len(audio) % CONFIGS[name].hop_lengths[-1]))
    with torch.inference_mode():
        latent = autoencoder.encoder(torch.from_numpy(padded)[None, None])[0, :, place].double()
    distances = (autoencoder.codebook.vectors[codes].double() - latent).square().sum(1)
    return bool(torch.isclose(distances[0], distances[1], rtol=1e-4, atol=1e-6))


# what torch computes


@each_kernels
@each_config
def test_codes_are_those_of_torch_but_for_near_ties(name: str, kernels: str) -> None:
    audio = make_audio(2304 + 7)
    found = make_codec(name, kernels).encode([audio])
    expected = TorchCodec(make_vqvae(name)).encode([audio])
    assert [len(codes) for codes in found] == [len(codes) for codes in expected]
    for level, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.dtype == np.int64
        for place in np.flatnonzero(ours != theirs):
            assert is_near_tie(name, level, audio, int(place), [ours[place], theirs[place]])
        assert len(set(ours)) > 3  # not all alike


@each_kernels
@each_config
def test_audio_is_that_of_torch_but_for_rounding(name: str, kernels: str) -> None:
    codec, reference = make_codec(name, kernels), TorchCodec(make_vqvae(name))
    for level in range(codec.config.num_levels):
        tokens = make_tokens(name, level, 150)
        found, expected = decoded(codec, level, tokens), decoded(reference, level, tokens)
        assert found.dtype == np.float32
        scale = np.abs(expected).max()
        assert scale > 0.01
        np.testing.assert_allclose(found, expected, atol=2e-6 * max(1, scale), rtol=0)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17])
def test_short_audio_is_padded_to_whole_tokens_of_the_top_level(length: int) -> None:
    audio = make_audio(length)
    found = make_codec("narrow").encode([audio])
    expected = TorchCodec(make_vqvae("narrow")).encode([audio])
    assert [codes.tolist() for codes in found] == [codes.tolist() for codes in expected]


def test_no_tokens_are_no_audio() -> None:
    assert list(decode(make_codec("narrow"), 0, np.zeros(0, np.int64))) == []


def test_of_equally_near_codes_the_first_is_taken() -> None:
    vqvae = VQVAE(CONFIGS["mini"]).eval()
    for level in range(vqvae.config.num_levels):
        vectors = vqvae.level(level).codebook.vectors
        vectors.normal_(generator=torch.Generator().manual_seed(0))
        vectors[50:] = vectors[:50]
    for codes in NativeCodec(vqvae).encode([make_audio(999)]):
        assert codes.max() < 50


# the same bits


@each_config
def test_all_kernels_have_the_same_bits(name: str) -> None:
    codecs = [make_codec(name, kernels) for kernels in library.kernel_names()]
    first, *others = ([codec.encode([make_audio(2311)])] for codec in codecs)
    for other in others:
        assert [c.tolist() for c in other[0]] == [c.tolist() for c in first[0]]
    for level in range(CONFIGS[name].num_levels):
        tokens = make_tokens(name, level, 150)
        audio = [decoded(codec, level, tokens) for codec in codecs]
        assert all(np.array_equal(each, audio[0]) for each in audio)


@pytest.mark.parametrize("num_threads", [2, 3, 5])
@each_config
def test_any_number_of_threads_has_the_same_bits(name: str, num_threads: int) -> None:
    alone, shared = make_codec(name), make_codec(name, num_threads=num_threads)
    audio = make_audio(40_000)
    for ours, theirs in zip(shared.encode([audio]), alone.encode([audio]), strict=True):
        assert ours.tolist() == theirs.tolist()
    tokens = make_tokens(name, 0, 5000)
    assert np.array_equal(decoded(shared, 0, tokens), decoded(alone, 0, tokens))


def blocks(audio: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    """The audio in blocks of these sizes, repeated."""
    start = 0
    while start < len(audio):
        for size in sizes:
            yield audio[start : start + size]
            start += size


@pytest.fixture
def step_samples(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Changes how many samples are computed at once."""
    return lambda count: monkeypatch.setattr(native_codec, "STEP_SAMPLES", count)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 1500), st.lists(st.integers(0, 700), min_size=1).filter(any))
@example(777, [0, 5, 0])
@example(100, [1])
def test_blocks_of_any_size_have_the_same_codes(length: int, sizes: list[int]) -> None:
    codec, audio = make_codec("narrow"), make_audio(length)
    whole = codec.encode([audio])
    for found, expected in zip(codec.encode(blocks(audio, sizes)), whole, strict=True):
        assert found.tolist() == expected.tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 1000), st.integers(0, 1))
@example(1, 1000, 1)
def test_chunks_of_any_size_have_the_same_samples(count: int, chunk: int, level: int) -> None:
    codec, tokens = make_codec("mini"), make_tokens("mini", level, count)
    whole = decoded(codec, level, tokens, 10**6)
    assert np.array_equal(decoded(codec, level, tokens, chunk), whole)


@pytest.mark.parametrize("count", [1, 16, 50, 1000, 10**6])
@each_config
def test_any_number_of_samples_at_once_has_the_same_bits(
    name: str, count: int, step_samples: Callable[[int], None]
) -> None:
    codec, audio, tokens = make_codec(name), make_audio(2311), make_tokens(name, 1, 100)
    codes, sound = codec.encode([audio]), decoded(codec, 1, tokens)
    step_samples(count)
    for found, expected in zip(codec.encode([audio]), codes, strict=True):
        assert found.tolist() == expected.tolist()
    assert np.array_equal(decoded(codec, 1, tokens), sound)


# as a stream


@each_config
def test_outputs_are_there_as_soon_as_their_receptive_field(name: str) -> None:
    vqvae = make_vqvae(name)
    for level, hop_length in enumerate(vqvae.config.hop_lengths):
        decoder = NativeStream(NativeNetwork(vqvae.level(level), False), hop_length, 1)
        after = receptive_field(vqvae.level(level).decoder).after
        for number in range(1, 3 * after):
            decoder.feed(np.zeros(1, np.int64))
            assert decoder.num_outputs >= max(0, number - after) * hop_length
        encoder = NativeStream(NativeNetwork(vqvae.level(level), True), hop_length, 1)
        after = receptive_field(vqvae.level(level).encoder).after
        for number in range(1, 3 * after):
            encoder.feed(np.zeros(1, np.float32))
            assert encoder.num_outputs == max(0, (number - 1 - after) // hop_length + 1)


def test_tokens_are_decoded_as_soon_as_their_receptive_field_is_there() -> None:
    codec, tokens = make_codec("narrow"), make_tokens("narrow", 0, 100)
    after = receptive_field(make_vqvae("narrow").level(0).decoder).after
    waits: list[int] = []

    def wait_for(count: int) -> np.ndarray:
        waits.append(count)
        return tokens[:count]  # the rest is not sampled yet

    live = list(codec.decode_stream(0, 100, wait_for, 390, 120))
    assert waits == [min(end + after, 100) for end in (30, 60, 90, 120)]
    assert [len(block) for block in live] == [120, 120, 120, 30]
    assert np.array_equal(np.concatenate(live), decoded(codec, 0, tokens)[:390])


def test_a_stream_keeps_its_network() -> None:
    def open_stream() -> NativeStream:
        return NativeStream(NativeNetwork(make_vqvae("narrow").level(0), False), 4, 2)

    stream, tokens = open_stream(), make_tokens("narrow", 0, 60)
    audio = np.concatenate([stream.feed(tokens), stream.finish()])
    assert np.array_equal(audio, decoded(make_codec("narrow"), 0, tokens))


@pytest.mark.parametrize("code", [-1, 32])
def test_codes_that_are_not_in_the_codebook_are_an_error(code: int) -> None:
    tokens = np.array([0, code])
    with pytest.raises(IndexError, match=rf"codes must be from 0 to 31, not {code}"):
        decoded(make_codec("narrow"), 0, tokens)


def test_no_room_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    vqvae = make_vqvae("narrow")
    network = NativeNetwork(vqvae.level(0), True)
    monkeypatch.setattr(library, "function", lambda name: lambda *_: None)
    with pytest.raises(MemoryError, match="the native engine has no memory left"):
        NativeStream(network, 4, 1)
    with pytest.raises(MemoryError, match="the native engine has no memory left"):
        NativeNetwork(vqvae.level(0), True)
