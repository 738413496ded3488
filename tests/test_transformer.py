"""Factored attention: three ways to the same numbers, and what a position may know."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jukebox_cli.conditioning import Conditioning, stack
from jukebox_cli.config import PATTERNS, PriorConfig
from jukebox_cli.prior import Prior
from jukebox_cli.transformer import Attention, Layout, Transformer, allowed, naive_attention

LAYOUT = Layout(blocks=4, columns=6)
FRAMES = LAYOUT.blocks * LAYOUT.columns
WIDTH = 16


def attention(pattern: str) -> Attention:
    torch.manual_seed(0)
    made = Attention(pattern, LAYOUT, WIDTH, inner=8, heads=2, out_std=0.5)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made.double()


def transformer(*patterns: str) -> Transformer:
    torch.manual_seed(0)
    made = Transformer(
        frames=FRAMES,
        blocks=LAYOUT.blocks,
        width=WIDTH,
        depth=len(patterns),
        heads=2,
        inner=8,
        hidden=16,
        patterns=patterns,
        scaled=False,
    )
    return larger(made).double()


def larger(module: torch.nn.Module) -> torch.nn.Module:
    """Weights of size 0.02 would hide mistakes in rounding."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(10.0)
    return module


def inputs(batch: int, total: int) -> Tensor:
    generator = torch.Generator().manual_seed(total)
    return torch.randn(batch, total, WIDTH, generator=generator, dtype=torch.float64)


def sees(pattern: str, n: int, other: int) -> bool:
    """The rule in words of rows and columns."""
    (row, column), (its_row, its_column) = divmod(n, 6), divmod(other, 6)
    return {
        "row": its_row == row and its_column <= column,
        "column": its_column == column and its_row <= row,
        "previous": its_row == row - 1,
        "dense": other <= n,
    }[pattern]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_allows_what_its_name_says(pattern):
    mask = allowed(pattern, LAYOUT, FRAMES)
    wanted = [[sees(pattern, n, other) for other in range(FRAMES)] for n in range(FRAMES)]
    assert mask.tolist() == wanted


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_attention_is_one_masked_softmax(pattern, rows):
    part, x = attention(pattern), inputs(2, rows * LAYOUT.columns)
    torch.testing.assert_close(part(x), naive_attention(part, x), rtol=1e-10, atol=1e-12)


def test_previous_sees_zeros_above_the_first_row():
    part, x = attention("previous"), inputs(2, FRAMES)
    nothing = part.out.bias.expand(2, LAYOUT.columns, WIDTH)
    torch.testing.assert_close(part(x)[:, : LAYOUT.columns], nothing)
    caches = transformer("previous").caches(2)
    for n in range(LAYOUT.columns):
        torch.testing.assert_close(part.step(x[:, n : n + 1], n, caches[0]), nothing[:, :1])


@pytest.mark.parametrize("patterns", [*((p,) for p in PATTERNS), PATTERNS], ids="+".join)
def test_steps_after_any_prefix_equal_all_positions_at_once(patterns):
    model, x = transformer(*patterns), inputs(2, FRAMES)
    whole = model(x)
    for prefix in range(FRAMES):
        caches = model.caches(2)
        if prefix:
            torch.testing.assert_close(model(x[:, :prefix], caches), whole[:, :prefix])
        end = min(FRAMES, prefix + LAYOUT.columns + 1 if prefix else FRAMES)
        steps = [model.step(x[:, n : n + 1], n, caches) for n in range(prefix, end)]
        torch.testing.assert_close(torch.cat(steps, dim=1), whole[:, prefix:end])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, FRAMES - 1), st.integers(0, FRAMES))
def test_a_prefix_may_be_stepped_on_to_any_length(prefix, more):
    model, x = transformer(*PATTERNS), inputs(1, FRAMES)
    caches, whole = model.caches(1), model(x)
    model(x[:, :prefix], caches)
    for n in range(prefix, min(FRAMES, prefix + more)):
        out = model.step(x[:, n : n + 1], n, caches)
        torch.testing.assert_close(out, whole[:, n : n + 1])


@pytest.mark.parametrize(
    ("pattern", "positions"), [("row", 6), ("column", 24), ("previous", 12), ("dense", 24)]
)
def test_a_cache_keeps_no_more_positions_than_its_pattern_needs(pattern, positions):
    (cache,) = transformer(pattern).caches(3)
    heads, size = 2, 4
    assert cache.keys.numel() == cache.values.numel() == 3 * heads * positions * size


def tiny_prior(width: int = 32, bins: int = 20, **knobs: object) -> Prior:
    torch.manual_seed(0)
    config = {"frames": FRAMES, "blocks": 4, "depth": 4, "heads": 2, "patterns": PATTERNS, **knobs}
    prior = Prior(PriorConfig(width=width, **config), bins, {})
    return larger(prior).eval()


@pytest.mark.parametrize("patterns", [*((p,) for p in PATTERNS), PATTERNS], ids="+".join)
def test_logits_depend_on_no_token_at_or_after_their_own(patterns):
    prior = tiny_prior(patterns=patterns).double()
    seen: list[Tensor] = []
    prior.tokens.register_forward_hook(lambda module, given, out: seen.append(out))
    logits = prior(torch.randint(20, (1, FRAMES)), Conditioning())
    towards = torch.randn(20).double()
    for n in range(FRAMES):
        scalar = (logits[0, n] * towards).sum()
        (slope,) = torch.autograd.grad(scalar, seen[0], retain_graph=True, allow_unused=True)
        felt = slope[0].abs().sum(1) > 0  # by token
        assert not felt[n:].any()
        if "dense" in patterns:
            assert felt[:n].all()


SIZES = {
    "as the presets have": {"width": 64, "bins": 64},
    "a hidden layer of odd size": {"width": 40, "bins": 64},
    "heads of odd size": {"width": 200, "bins": 64},
    "an odd number of bins": {"width": 36, "bins": 37, "heads": 3, "tied": False},
    "wide": {"width": 256, "bins": 512, "heads": 4, "mlp": 2.0},
}


@torch.inference_mode()
def logits_of_item_5(prior: Prior, batch: list[int], prefix: int) -> Tensor:
    """Its steps after the prefix, drawn together with the other items of the batch."""
    torch.manual_seed(1)
    width = prior.config.width
    every = [Conditioning(torch.randn(1, width), torch.randn(1, FRAMES, width)) for _ in range(16)]
    tokens = torch.randint(prior.bins, (16, FRAMES))[batch]
    conditions, caches = stack([every[item] for item in batch]), prior.caches(len(batch))
    prior.prefill(tokens[:, :prefix], conditions, caches)
    steps = [prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(prefix, FRAMES)]
    return torch.stack(steps, dim=1)[batch.index(5)]


@pytest.mark.parametrize("prefix", [0, 9])
@pytest.mark.parametrize("size", SIZES)
def test_an_item_is_the_same_to_the_bit_whatever_the_batch(size, prefix):
    prior = tiny_prior(**SIZES[size])
    alone = logits_of_item_5(prior, [5], prefix)
    for batch in ([1, 5, 2], list(range(16))):
        assert torch.equal(logits_of_item_5(prior, batch, prefix), alone)


@pytest.fixture
def two_threads() -> Iterator[Callable[[], None]]:
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(before)


@pytest.mark.parametrize("batch", [[5], list(range(16))], ids=["alone", "of 16"])
def test_an_item_is_the_same_to_the_bit_on_more_threads(two_threads, batch):
    prior = tiny_prior(**SIZES["wide"])
    one = logits_of_item_5(prior, batch, prefix=18)
    two_threads()
    assert torch.equal(logits_of_item_5(prior, batch, prefix=18), one)


@torch.inference_mode()
def test_a_prefix_is_computed_item_by_item():
    prior, tokens = tiny_prior(width=200), torch.randint(20, (16, 5))
    together, conditions = prior.caches(16), Conditioning(start=torch.randn(16, 200))
    prior.prefill(tokens, conditions, together)
    for item in range(16):
        alone = prior.caches(1)
        prior.prefill(tokens[item : item + 1], conditions.row(item), alone)
        for mine, among in zip(alone, together, strict=True):
            part = among.of(item, heads=2)
            assert torch.equal(mine.keys, part.keys)
            assert torch.equal(mine.values, part.values)
            assert mine.keys.any()
