"""Factored self-attention: what each pattern attends to, and that all implementations agree."""

from __future__ import annotations

import pytest
import torch

from jukebox_cli.model.attention import (
    MultiHeadAttention,
    SelfAttention,
    attention_mask,
    fused_attention,
    naive_attention,
)
from jukebox_cli.model.kv_cache import KVCache
from support.networks import (
    LAYOUT,
    POSITIONS,
    SELF_ATTENTION_PATTERNS,
    WIDTH,
    make_transformer,
    random_inputs,
    random_tensor,
    randomize,
)


def make_attention(pattern: str) -> SelfAttention:
    torch.manual_seed(0)
    return randomize(SelfAttention(pattern, LAYOUT, WIDTH, attention_width=8, heads=2, out_std=0.5))


def attends(pattern: str, n: int, other: int) -> bool:
    """The pattern's definition in terms of rows and columns."""
    (row, column), (other_row, other_column) = divmod(n, 6), divmod(other, 6)
    return {
        "row": other_row == row and other_column <= column,
        "column": other_column == column and other_row <= row,
        "previous": other_row == row - 1,
        "dense": other <= n,
        "prefix": other <= n and other < 8,
    }[pattern]


@pytest.mark.parametrize("pattern", SELF_ATTENTION_PATTERNS)
def test_the_mask_of_a_pattern_is_its_definition(pattern: str) -> None:
    mask = attention_mask(pattern, LAYOUT, POSITIONS)
    expected = [
        [attends(pattern, n, other) for other in range(POSITIONS)] for n in range(POSITIONS)
    ]
    assert mask.tolist() == expected


@pytest.mark.parametrize("prefix_length", [0, 3, 4, 5, 20, 24])
def test_the_prefix_mask_ends_with_the_prefix_span(prefix_length: int) -> None:
    layout = LAYOUT._replace(prefix_length=prefix_length)
    mask = attention_mask("prefix", layout, POSITIONS)
    assert mask[-1].tolist() == [n < layout.prefix_span for n in range(POSITIONS)]


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("pattern", SELF_ATTENTION_PATTERNS)
def test_attention_equals_one_masked_softmax(pattern: str, rows: int) -> None:
    attention, x = make_attention(pattern), random_inputs(2, rows * LAYOUT.columns)
    torch.testing.assert_close(attention(x), naive_attention(attention, x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("pattern", SELF_ATTENTION_PATTERNS)
def test_steps_with_a_cache_equal_one_masked_softmax(pattern: str) -> None:
    attention, x = make_attention(pattern), random_inputs(2, POSITIONS)
    cache = KVCache(pattern, LAYOUT, batch_heads=4, head_dim=4, like=x)
    steps = [attention.step(x[:, n : n + 1], n, cache) for n in range(POSITIONS)]
    expected = naive_attention(attention, x)
    torch.testing.assert_close(torch.cat(steps, dim=1), expected, rtol=1e-10, atol=1e-12)


def test_previous_attends_to_zeros_in_the_first_row() -> None:
    attention, x = make_attention("previous"), random_inputs(2, POSITIONS)
    expected = attention.out.bias.expand(2, LAYOUT.columns, WIDTH)
    torch.testing.assert_close(attention(x)[:, : LAYOUT.columns], expected)
    (cache,) = make_transformer("previous").make_caches(2)
    assert isinstance(cache, KVCache)
    for n in range(LAYOUT.columns):
        torch.testing.assert_close(attention.step(x[:, n : n + 1], n, cache), expected[:, :1])


@pytest.mark.parametrize("total", [6, 12, 24])
def test_prefix_attention_weights_are_a_softmax_over_the_span(total: int) -> None:
    attention, x = make_attention("prefix"), random_inputs(2, total)
    weights = attention.prefix_attention_weights(x)
    assert weights.shape == (2, 2, total - LAYOUT.prefix_length, LAYOUT.prefix_length)
    q, k, _ = (attention.split_heads(t) for t in attention.qkv(x).chunk(3, dim=2))
    for n in range(LAYOUT.prefix_length, total):
        span = k[:, :, : min(n + 1, LAYOUT.prefix_span)]  # may include a little of the music
        expected = (q[:, :, n, None] @ span.transpose(2, 3) / 2).softmax(-1)  # sqrt(D) is 2
        torch.testing.assert_close(
            weights[:, :, n - LAYOUT.prefix_length],
            expected[:, :, 0, : LAYOUT.prefix_length],
        )


def test_weights_of_a_query_that_may_attend_to_nothing_are_zero() -> None:
    attention = make_attention("dense")
    q, k = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 5, 4)
    mask = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]).bool()
    weights = attention.attention_weights(q, k, mask)
    torch.testing.assert_close(weights.sum(3), torch.tensor([1.0, 0.0, 1.0]).expand(1, 2, 3))
    assert not weights.masked_select(~mask).any()


@pytest.mark.parametrize("head_dim", [8, 6])
@pytest.mark.parametrize("kind", ["none", "positions", "items"])
def test_the_fused_attention_of_a_gpu_is_that_of_a_cpu(kind: str, head_dim: int) -> None:
    """On a CPU torch computes it without its fused kernel."""
    heads, batch, total = 2, 3, 5
    attention = MultiHeadAttention(heads * head_dim, heads)
    q = random_tensor(batch * heads, head_dim, seed=1)
    k, v = (random_tensor(batch * heads, total, head_dim, seed=seed) for seed in (2, 3))
    nothing = [False] * total
    of_items = torch.tensor([[True] * total, [True, False, True, False, False], nothing])
    mask = {
        "none": None,
        "positions": torch.arange(total) <= 2,
        "items": of_items.repeat_interleave(heads, 0)[:, None],
    }[kind]
    expected = attention.attend_one_position(q, k, v, mask)
    actual = fused_attention(q, k, v, mask, heads, attention.scale)
    assert actual.shape == (batch, 1, heads * head_dim)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
