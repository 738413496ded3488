"""Attention of one position with the kernels is that of the layers, for every pattern."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from support.triton_kernels import DEVICE  # first: skips without Triton

from jukebox_cli.config.schema import ATTENTION_PATTERNS  # isort: skip
from jukebox_cli.engine import fused_ops
from jukebox_cli.engine.fused_ops import cross_attention, self_attention
from jukebox_cli.model.attention import MultiHeadAttention
from jukebox_cli.model.kv_cache import CrossAttentionCache, KVCache
from support.networks import LAYOUT, MASKS

HEADS, SIZE, BATCH = 2, 10, 3
ATTENTION = MultiHeadAttention(HEADS * SIZE, HEADS)
#: Positions: the first, in the first row, after the prefix span, at the end of a row.
POSITIONS = (0, 4, 9, 17)


@pytest.fixture(params=[4, 32], ids=["several programs a head", "one program a head"])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused_ops, "BLOCK_S", request.param)
    monkeypatch.setattr(fused_ops, "MAX_SPLITS", 2)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape))).to(DEVICE)


def new_tickets() -> Tensor:
    return torch.zeros(BATCH * HEADS, dtype=torch.int32, device=DEVICE)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("pattern", [p for p in ATTENTION_PATTERNS if p != "cross_attention"])
def test_self_attention_is_that_of_the_layer(pattern: str) -> None:
    cache, expected_cache = (
        KVCache(pattern, LAYOUT, BATCH * HEADS, SIZE, random(1)) for _ in range(2)
    )
    for each in (cache, expected_cache):
        each.keys.copy_(random(*each.keys.shape))
        each.values.copy_(random(*each.keys.shape).flip(0))
    tickets = new_tickets()
    for n in POSITIONS:
        qkv = random(BATCH, 3 * HEADS * SIZE) + n / 10
        q, k, v = (t.flatten(0, 1) for t in qkv.view(BATCH, 3, HEADS, SIZE).unbind(1))
        expected_cache.write(n, k, v)
        expected = ATTENTION.attend_one_position(q, *expected_cache.read(n))[:, 0]
        position = torch.tensor([n], device=DEVICE)
        actual = self_attention(qkv, position, cache, HEADS, ATTENTION.scale, tickets)
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(cache.keys, expected_cache.keys)
        assert torch.equal(cache.values, expected_cache.values)
        assert not tickets.any()


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("masked", [False, True])
def test_cross_attention_is_that_of_the_layer(masked: bool) -> None:
    length = MASKS.shape[1]
    keys, values = random(BATCH * HEADS, length, SIZE), random(BATCH * HEADS, length, SIZE).flip(0)
    mask = MASKS.repeat_interleave(HEADS, 0)[:, None].to(DEVICE) if masked else None
    queries = random(BATCH, HEADS * SIZE)
    q = queries.view(BATCH * HEADS, SIZE)
    expected = ATTENTION.attend_one_position(q, keys, values, mask)[:, 0]
    cache = CrossAttentionCache(keys, values, mask)
    actual = cross_attention(queries, cache, HEADS, ATTENTION.scale, new_tickets())
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
    assert not (masked and actual[2].any())  # an item with nothing to attend to
