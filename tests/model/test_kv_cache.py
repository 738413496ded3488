"""KV caches: what they hold, how much memory they take, and positions as tensors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jukebox_cli.model.attention import attention_mask
from jukebox_cli.model.kv_cache import (
    CrossAttentionCache,
    DevicePosition,
    KVCache,
    Layout,
    select_position,
)
from support.networks import LAYOUT, POSITIONS, SELF_ATTENTION_PATTERNS

#: Positions that each pattern has to keep.
SLOTS = {"row": 6, "column": 24, "previous": 12, "dense": 24, "prefix": 8}
BATCH_HEADS, HEAD_DIM = 6, 3


def make_cache(pattern: str) -> KVCache:
    return KVCache(pattern, LAYOUT, BATCH_HEADS, HEAD_DIM, torch.zeros(1))


def numbered(n: int) -> Tensor:
    """Keys (B * H, D) that tell their position and their place in the batch; never zero."""
    return (n + 1) * torch.arange(1.0, BATCH_HEADS + 1)[:, None].expand(-1, HEAD_DIM)


def attended(cache: KVCache, n: int | Tensor) -> list[int]:
    """The positions that a cache of `numbered` keys gives for position `n`; -1 is a zero."""
    keys, values, mask = cache.read(n)
    keys = keys if mask is None else keys[:, mask]
    values = values if mask is None else values[:, mask]
    assert torch.equal(keys, -values)
    for place in range(BATCH_HEADS):
        assert torch.equal(keys[place], (place + 1) * keys[0])
    return sorted((keys[0, :, 0] - 1).long().tolist())


def as_int(n: int) -> int:
    return n


def as_tensor(n: int) -> Tensor:
    return torch.tensor([n])


@pytest.mark.parametrize("position", [as_int, as_tensor])
@pytest.mark.parametrize("pattern", SELF_ATTENTION_PATTERNS)
def test_a_position_reads_what_its_pattern_attends_to(
    pattern: str, position: Callable[[int], int | Tensor]
) -> None:
    cache, mask = make_cache(pattern), attention_mask(pattern, LAYOUT, POSITIONS)
    for n in range(POSITIONS):
        cache.write(position(n), numbered(n), -numbered(n))
        expected = mask[n].nonzero()[:, 0].tolist()
        if pattern == "previous" and n < LAYOUT.columns:
            expected = [-1] * LAYOUT.columns  # zeros above the first row
        assert attended(cache, position(n)) == expected


@pytest.mark.parametrize("total", range(1, POSITIONS + 1))
@pytest.mark.parametrize("pattern", SELF_ATTENTION_PATTERNS)
def test_prefilling_leaves_what_writing_one_by_one_leaves(pattern: str, total: int) -> None:
    written, filled = make_cache(pattern), make_cache(pattern)
    keys = torch.stack([numbered(n) for n in range(total)], dim=1)
    for n in range(total):
        written.write(n, keys[:, n], -keys[:, n])
    filled.prefill(keys, -keys)
    for n in range(total, min(POSITIONS, total + LAYOUT.columns + 1)):
        for cache in (written, filled):
            cache.write(n, numbered(n), -numbered(n))
        assert attended(written, n) == attended(filled, n)


@pytest.mark.parametrize("pattern", SELF_ATTENTION_PATTERNS)
def test_a_cache_is_no_larger_than_its_pattern_needs(pattern: str) -> None:
    cache = make_cache(pattern)
    size = BATCH_HEADS * SLOTS[pattern] * HEAD_DIM
    assert cache.keys.numel() == cache.values.numel() == size


@pytest.mark.parametrize("pattern", SELF_ATTENTION_PATTERNS)
def test_the_part_of_an_item_shares_its_memory(pattern: str) -> None:
    cache = make_cache(pattern)
    part = cache.for_item(1, heads=2)
    part.write(0, torch.ones(2, HEAD_DIM), torch.full((2, HEAD_DIM), 2.0))
    written = cache.keys.flatten(1).any(dim=1)
    assert written.tolist() == [False, False, True, True, False, False]
    assert cache.values.sum() == 2 * cache.keys.sum()


def test_the_part_of_an_item_of_a_memory() -> None:
    keys, mask = torch.arange(4.0)[:, None, None], torch.tensor([[[1]], [[1]], [[0]], [[0]]]).bool()
    encoding = torch.arange(2.0)[:, None, None]
    cache = CrossAttentionCache(keys, -keys, mask, encoding)
    part = cache.for_item(1, heads=2)
    assert part.keys.flatten().tolist() == [2.0, 3.0]
    assert part.values.flatten().tolist() == [-2.0, -3.0]
    assert part.mask is not None
    assert part.mask.flatten().tolist() == [False, False]
    assert part.query_encoding is not None
    assert part.query_encoding.flatten().tolist() == [1.0]
    assert CrossAttentionCache(keys, -keys).for_item(0, heads=2).mask is None


@pytest.mark.parametrize(
    ("prefix_length", "span"), [(0, 4), (3, 4), (4, 8), (5, 8), (20, 24), (23, 24), (24, 24)]
)
def test_prefix_layers_span_the_multiple_of_rows_that_exceeds_the_prefix(
    prefix_length: int, span: int
) -> None:
    assert Layout(4, 6, prefix_length).prefix_span == span


@pytest.mark.parametrize("position", [as_int, as_tensor])
def test_one_position_of_a_sequence_is_selected(
    position: Callable[[int], int | Tensor],
) -> None:
    x = torch.randn(2, 5, 3)
    assert torch.equal(select_position(x, position(3)), x[:, 3:4])


def test_what_caches_derive_from_a_position_is_computed_once() -> None:
    position = DevicePosition(torch.tensor([9]), LAYOUT)  # row 1, column 3
    for found, expected in (
        (lambda: position.slot("row"), [3]),
        (lambda: position.slot("column"), [13]),
        (lambda: position.slot("previous"), [9]),
        (lambda: position.group("column"), [3]),
        (lambda: position.group("previous"), [0]),
        (lambda: position.mask("row", 6), [True] * 4 + [False] * 2),
        (lambda: position.mask("column", 4), [True] * 2 + [False] * 2),
    ):
        assert found().tolist() == expected
        assert found() is found()
