"""Audio <-> tokens in chunks: no seam may be heard, and little may be held in memory."""

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
from jukebox_cli.model.vqvae import VQVAE

HOPS = (4, 8, 16)


@cache
def network() -> VQVAE:
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


@cache
def sound(length: int) -> np.ndarray:
    return np.random.default_rng(length).normal(size=length).astype(np.float32)


@cache
@torch.inference_mode()
def tokens_at_once(level: int, length: int) -> np.ndarray:
    padded = np.pad(sound(length), (0, -length % HOPS[-1]))
    return network().level(level).encode(torch.from_numpy(padded)[None, None])[0].numpy()


@torch.inference_mode()
def audio_at_once(level: int, tokens: np.ndarray) -> np.ndarray:
    return network().level(level).decode(torch.from_numpy(tokens)[None])[0, 0].numpy()


def blocks(audio: np.ndarray, sizes: list[int]) -> Iterator[np.ndarray]:
    """The audio in blocks of these sizes, over and over."""
    at = 0
    while at < len(audio):
        for size in sizes:
            yield audio[at : at + size]
            at += size


lengths, chunks = st.integers(1, 2000), st.integers(1, 1000)


@settings(max_examples=50, deadline=None)
@given(lengths, chunks, st.lists(st.integers(0, 700), min_size=1).filter(any))
@example(1, 1, [1])
@example(16, 16, [16])
@example(15, 1000, [1])
@example(2000, 16, [1999])
@example(777, 33, [0, 5, 0])
def test_tokens_in_chunks_are_those_of_all_at_once(length, chunk, sizes):
    levels = codec.encode(network(), blocks(sound(length), sizes), chunk)
    for level, tokens in enumerate(levels):
        np.testing.assert_array_equal(tokens, tokens_at_once(level, length))
        assert tokens.dtype == np.int64
        assert len(tokens) == -(-length // 16) * (16 // HOPS[level])


@settings(max_examples=50, deadline=None)
@given(lengths, chunks, st.integers(0, 2))
@example(1, 1, 0)
@example(1, 1000, 2)
@example(1999, 16, 1)
def test_audio_in_chunks_is_that_of_all_at_once(length, chunk, level):
    tokens = tokens_at_once(level, length)
    made = np.concatenate(list(codec.decode(network(), level, tokens, length, chunk)))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, audio_at_once(level, tokens)[:length], atol=1e-6, rtol=0)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_tokens_without_a_length_are_all_made_audio(level):
    tokens = tokens_at_once(level, 100)
    made = np.concatenate(list(codec.decode(network(), level, tokens, chunk=32)))
    assert len(made) == 112
    np.testing.assert_allclose(made, audio_at_once(level, tokens), atol=1e-6, rtol=0)


def test_nothing_becomes_nothing():
    assert [len(tokens) for tokens in codec.encode(network(), [])] == [0, 0, 0]
    assert list(codec.decode(network(), 0, np.zeros(0, np.int64))) == []


def always_on(part: nn.Module) -> nn.Module:
    """Weights so that no rectifier is ever shut, and what is connected has a gradient."""
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.fill_(0.1)
    return part.double()


def felt(made: Tensor, x: Tensor) -> tuple[int, int]:
    """The first and the last input that changes what was made."""
    (slope,) = torch.autograd.grad(made.sum(), x, retain_graph=True)
    places = slope[0].abs().sum(0).nonzero()[:, 0]
    return int(places[0]), int(places[-1])


@pytest.mark.parametrize("strides", [((2,),), ((4, 2),), ((2, 2), (2,)), ((8,), (4,), (2,))])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_token_depends_on_just_the_samples_in_reach(strides, depth):
    levels = len(strides)
    config = VQVAEConfig(
        strides=strides, embedding_dim=2, widths=(2,) * levels, depths=(depth,) * levels
    )
    encoder = always_on(VQVAE(config).level(levels - 1).encoder)
    hop, near = config.hop_lengths[-1], codec.receptive_field(encoder)
    tokens = 2 * (near.before + near.after) // hop + 3
    x = torch.ones(1, 1, tokens * hop, dtype=torch.double, requires_grad=True)
    middle = tokens // 2
    wanted = middle * hop - near.before, middle * hop + near.after
    assert felt(encoder(x)[0, :, middle], x) == wanted


@pytest.mark.parametrize("strides", [((2,),), ((4, 2),), ((2, 2), (2,)), ((8,), (4,), (2,))])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_sample_depends_on_just_the_tokens_in_reach(strides, depth):
    levels = len(strides)
    config = VQVAEConfig(
        strides=strides, embedding_dim=2, widths=(2,) * levels, depths=(depth,) * levels
    )
    decoder = always_on(VQVAE(config).level(levels - 1).decoder)
    hop, near = config.hop_lengths[-1], codec.receptive_field(decoder)
    tokens = 2 * (near.before + near.after) + 3
    x = torch.ones(1, 2, tokens, dtype=torch.double, requires_grad=True)
    middle = tokens // 2
    of_one_token = decoder(x)[0, 0, middle * hop : (middle + 1) * hop]
    assert felt(of_one_token, x) == (middle - near.before, middle + near.after)


class Watch:
    """How much the networks are given at once, and how much of the source was taken by then."""

    def __init__(self) -> None:
        self.widths: list[int] = []
        self.taken = 0
        self.taken_at: list[int] = []

    def source(self, total: int, size: int) -> Iterator[np.ndarray]:
        for block in blocks(sound(total), [size]):
            self.taken += len(block)
            yield block

    def __call__(self, module: nn.Module, given: tuple[Tensor]) -> None:
        self.widths.append(given[0].shape[2])
        self.taken_at.append(self.taken)


@pytest.fixture
def watch() -> Iterator[Watch]:
    seen = Watch()
    levels = [network().level(level) for level in range(3)]
    parts = [part for level in levels for part in (level.encoder, level.decoder)]
    hooks = [part.register_forward_pre_hook(seen) for part in parts]
    yield seen
    for hook in hooks:
        hook.remove()


def test_encoding_holds_no_more_than_a_chunk_and_its_surroundings(watch):
    chunk, size = 160, 10
    reaches = [codec.receptive_field(network().level(level).encoder) for level in range(3)]
    back, ahead = (-(-max(sides) // 16) * 16 for sides in zip(*reaches, strict=True))
    codec.encode(network(), watch.source(2000, size), chunk)
    assert max(watch.widths) <= back + chunk + ahead < 2000
    for number, taken in enumerate(watch.taken_at[::3]):
        assert taken <= (number + 1) * chunk + ahead + size
    assert watch.taken == 2000


def test_decoding_makes_a_block_when_it_is_asked_for(watch):
    tokens, chunk = tokens_at_once(0, 2000), 160
    watch.widths.clear()
    near = codec.receptive_field(network().level(0).decoder)
    made = codec.decode(network(), 0, tokens, 2000, chunk)
    assert len(next(made)) == chunk
    assert len(watch.widths) == 1
    assert [len(block) for block in made] == [chunk] * 11 + [80]
    assert max(watch.widths) <= near.before + chunk // 4 + near.after < 500
