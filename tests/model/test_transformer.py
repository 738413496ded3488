"""Factored attention: three ways to the same numbers, and what a position may know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import sqrt

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jukebox_cli.config.schema import ATTENTION_PATTERNS, PriorConfig
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.attention import (
    CrossAttention,
    Memory,
    SelfAttention,
    attention_mask,
    naive_attention,
)
from jukebox_cli.model.conditioning import Conditioning, Prefix, stack_conditionings
from jukebox_cli.model.kv_cache import Layout
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import Transformer

LAYOUT = Layout(rows=4, columns=6, prefix_length=5)  # `prefix` layers see the first 8
FRAMES = LAYOUT.rows * LAYOUT.columns
WIDTH, SEEN = 16, 7
OWN = tuple(
    p for p in ATTENTION_PATTERNS if p != "memory"
)  # those that look at the sequence itself


def attention(pattern: str) -> SelfAttention:
    torch.manual_seed(0)
    return with_random_weights(SelfAttention(pattern, LAYOUT, WIDTH, inner=8, heads=2, out_std=0.5))


def memory_attention(width: int = WIDTH) -> CrossAttention:
    torch.manual_seed(0)
    return with_random_weights(CrossAttention(width, inner=width // 2, heads=2, out_std=0.5))


def with_random_weights(module: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module.double()


def transformer(*patterns: str) -> Transformer:
    torch.manual_seed(0)
    made = Transformer(
        context_length=FRAMES - LAYOUT.prefix_length,
        prefix_length=LAYOUT.prefix_length,
        rows=LAYOUT.rows,
        width=WIDTH,
        depth=len(patterns),
        heads=2,
        attention_width=8,
        mlp_width=16,
        attention_patterns=patterns,
        residual_scale=1.0,
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


#: What an item sees of its memory: all of it, a part, nothing.
MASKS = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0]]).bool()


def memory(*masks: int) -> Memory:
    """Something to look at for items with those of the masks."""
    return Memory(inputs(len(masks), SEEN), MASKS[list(masks)])


def sees(pattern: str, n: int, other: int) -> bool:
    """The rule in words of rows and columns."""
    (row, column), (its_row, its_column) = divmod(n, 6), divmod(other, 6)
    return {
        "row": its_row == row and its_column <= column,
        "column": its_column == column and its_row <= row,
        "previous": its_row == row - 1,
        "dense": other <= n,
        "prefix": other <= n and other < 8,
    }[pattern]


@pytest.mark.parametrize("pattern", OWN)
def test_a_pattern_allows_what_its_name_says(pattern):
    mask = attention_mask(pattern, LAYOUT, FRAMES)
    wanted = [[sees(pattern, n, other) for other in range(FRAMES)] for n in range(FRAMES)]
    assert mask.tolist() == wanted


@pytest.mark.parametrize(
    ("prefix", "first"), [(0, 4), (3, 4), (4, 8), (5, 8), (20, 24), (23, 24), (24, 24)]
)
def test_a_prefix_is_seen_up_to_the_end_of_a_round_of_blocks(prefix, first):
    layout = LAYOUT._replace(prefix=prefix)
    assert layout.prefix_span == first
    seen = attention_mask("prefix", layout, FRAMES)
    assert seen[-1].tolist() == [n < first for n in range(FRAMES)]


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("pattern", OWN)
def test_attention_is_one_masked_softmax(pattern, rows):
    part, x = attention(pattern), inputs(2, rows * LAYOUT.columns)
    torch.testing.assert_close(part(x), naive_attention(part, x), rtol=1e-10, atol=1e-12)


def naive_memory_attention(part: CrossAttention, x: Tensor, memory: Memory) -> Tensor:
    """What `part(x, memory)` must equal, made of nothing but the states that may be seen."""
    q, (k, v) = part.query(x), part.key_value(memory.states).chunk(2, dim=2)
    mixed, size = torch.zeros_like(q), part.attention_width // part.heads
    for item, head in product(range(len(x)), range(part.heads)):
        mine = slice(head * size, (head + 1) * size)
        there = slice(None) if memory.mask is None else memory.mask[item].nonzero()[:, 0]
        scores = q[item, :, mine] @ k[item, there, mine].T / sqrt(size)
        mixed[item, :, mine] = scores.softmax(-1) @ v[item, there, mine]
    return part.out(mixed)


@pytest.mark.parametrize("masked", [True, False])
def test_memory_attention_is_one_softmax_over_what_may_be_seen(masked):
    part, x, seen = memory_attention(), inputs(3, FRAMES), memory(0, 1, 2)
    seen = seen if masked else Memory(seen.states)
    wanted = naive_memory_attention(part, x, seen)
    torch.testing.assert_close(part(x, seen), wanted, rtol=1e-10, atol=1e-12)
    cache = part.cache(seen)
    for n in range(FRAMES):
        step = part.step(x[:, n : n + 1], n, cache)
        torch.testing.assert_close(step[:, 0], wanted[:, n], rtol=1e-10, atol=1e-12)


def test_places_join_what_the_positions_ask_with():
    part, x, seen = memory_attention(), inputs(3, FRAMES), memory(0, 1, 2)
    places = inputs(3, FRAMES - 2)  # of the music: the last row may be longer
    asked = x + torch.cat([places, torch.zeros_like(x[:, :2])], dim=1)
    wanted = naive_memory_attention(part, asked, seen)
    placed = seen._replace(places=places)
    torch.testing.assert_close(part(x, placed), wanted, rtol=1e-10, atol=1e-12)
    looks = part.memory_attention_weights(x, placed)
    assert torch.equal(looks, part.memory_attention_weights(asked, seen))
    cache = part.cache(placed)
    for n in range(FRAMES - 2):
        step = part.step(x[:, n : n + 1], n, cache)
        torch.testing.assert_close(step[:, 0], wanted[:, n], rtol=1e-10, atol=1e-12)


def test_the_first_head_pays_for_not_looking_where_it_is_guided_to():
    part, x, seen = memory_attention(), inputs(3, FRAMES), memory(0, 0, 1)
    guide = torch.rand(3, FRAMES - 2, seen.states.shape[1])  # the last row may be longer
    guide = guide * MASKS[[0, 0, 1]][:, None]
    paid: list[Tensor] = []
    part(x, seen._replace(guide=guide, paid=paid))
    looks = part.memory_attention_weights(x, seen)[:, 0, : FRAMES - 2]
    bits = torch.where(guide > 0, -looks.log2(), 0.0)
    torch.testing.assert_close(paid, [(guide * bits).sum(2).mean().float()])


def test_a_head_that_is_sure_of_a_wrong_place_learns_most():
    part, x, seen = memory_attention(), inputs(1, FRAMES), Memory(inputs(1, SEEN))
    with torch.no_grad():
        part.query.weight *= 1e4
        right = part.memory_attention_weights(x, seen)[:, 0].argmin(2)
    paid: list[Tensor] = []
    guide = torch.nn.functional.one_hot(right, seen.states.shape[1]).float()
    part(x, seen._replace(guide=guide, paid=paid))
    assert paid[0] > 100
    paid[0].backward()
    assert part.query.bias.grad.norm() > 0.1


def test_an_item_that_may_see_nothing_of_its_memory_sees_zeros():
    part, x, seen = memory_attention(), inputs(2, FRAMES), memory(2, 1)
    nothing = part.out.bias.expand(FRAMES, WIDTH)
    assert torch.equal(part(x, seen)[0], nothing)
    assert torch.equal(part.step(x[:, :1], 0, part.cache(seen))[0], nothing[:1])
    assert not torch.equal(part(x, seen)[1], nothing)


def test_only_what_may_be_seen_of_a_memory_has_influence():
    part, x, seen = memory_attention(), inputs(3, 1), memory(0, 1, 2)
    states, mask = seen.states, seen.mask
    states.requires_grad_()
    seen = Memory(states, mask)
    for out in (part(x, seen), part.step(x, 0, part.cache(seen))):
        (slope,) = torch.autograd.grad((out @ inputs(1, 1)[0, 0]).sum(), states)
        assert ((slope.abs().sum(2) > 0) == mask).all()


def test_an_item_looks_at_no_memory_but_its_own():
    part, x, seen = memory_attention(), inputs(2, FRAMES), memory(0, 1)
    both = part(x, seen)
    for item in range(2):
        alone = part(x[item : item + 1], seen.item(item))
        torch.testing.assert_close(alone[0], both[item])


@torch.inference_mode()
def test_a_memory_is_read_item_by_item():
    part = memory_attention(200).float()
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(16, 11, 200, generator=generator)
    places = torch.randn(16, 7, 200, generator=generator)
    seen = Memory(states, torch.rand(16, 11, generator=generator) < 0.5, places)
    together = part.cache(seen)
    for item in range(16):
        alone = part.cache(seen.item(item))
        for mine, among in zip(alone, together.for_item(item, heads=2), strict=True):
            assert torch.equal(mine, among)


@pytest.mark.parametrize("use", ["caches", "forward", "looks"])
def test_memory_layers_without_a_memory_are_told(use):
    model, x = transformer("row", "memory"), inputs(1, FRAMES)
    uses = {"caches": lambda: model.make_caches(1), "forward": lambda: model(x)}
    uses["looks"] = lambda: model.attention_weights(x, 1)
    with pytest.raises(InputError) as caught:
        uses[use]()
    assert caught.value.message == "layers of pattern 'memory' have no memory to attend to"
    hint = "give the prior a conditioner that makes one, such as lyrics, or other patterns"
    assert caught.value.hint == hint


def test_previous_sees_zeros_above_the_first_row():
    part, x = attention("previous"), inputs(2, FRAMES)
    nothing = part.out.bias.expand(2, LAYOUT.columns, WIDTH)
    torch.testing.assert_close(part(x)[:, : LAYOUT.columns], nothing)
    caches = transformer("previous").make_caches(2)
    for n in range(LAYOUT.columns):
        torch.testing.assert_close(part.step(x[:, n : n + 1], n, caches[0]), nothing[:, :1])


def itself(n: int) -> int:
    return n


def recorded(n: int) -> Tensor:
    """The position as a step is told that was recorded, to be replayed at any."""
    return torch.tensor([n])


@pytest.mark.parametrize("place", [itself, recorded])
@pytest.mark.parametrize(
    "patterns", [*((p,) for p in ATTENTION_PATTERNS), ATTENTION_PATTERNS], ids="+".join
)
def test_steps_after_any_beginning_equal_all_positions_at_once(patterns, place):
    model, x, seen = transformer(*patterns), inputs(2, FRAMES), memory(1, 2)
    whole = model(x, memory=seen)
    for begun in range(FRAMES):
        caches = model.make_caches(2, seen)
        if begun:
            there = model(x[:, :begun], caches, seen)
            torch.testing.assert_close(there, whole[:, :begun])
        end = min(FRAMES, begun + LAYOUT.columns + 1 if begun else FRAMES)
        steps = [model.step(x[:, n : n + 1], place(n), caches) for n in range(begun, end)]
        torch.testing.assert_close(torch.cat(steps, dim=1), whole[:, begun:end])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, FRAMES - 1), st.integers(0, FRAMES))
def test_a_beginning_may_be_stepped_on_to_any_length(begun, more):
    model, x, seen = transformer(*ATTENTION_PATTERNS), inputs(1, FRAMES), memory(1)
    caches, whole = model.make_caches(1, seen), model(x, memory=seen)
    model(x[:, :begun], caches, seen)
    for n in range(begun, min(FRAMES, begun + more)):
        out = model.step(x[:, n : n + 1], n, caches)
        torch.testing.assert_close(out, whole[:, n : n + 1])


NEEDED = {"row": 6, "column": 24, "previous": 12, "dense": 24, "memory": SEEN, "prefix": 8}


@pytest.mark.parametrize("pattern", ATTENTION_PATTERNS)
def test_a_cache_keeps_no_more_positions_than_its_pattern_needs(pattern):
    (cache,), positions = transformer(pattern).make_caches(3, memory(0, 1, 2)), NEEDED[pattern]
    heads, size = 2, 4
    assert cache.keys.numel() == cache.values.numel() == 3 * heads * positions * size


def layer_input(model: Transformer, layer: int, x: Tensor, memory: Memory | None) -> Tensor:
    """What the attention of a layer is given."""
    given: list[Tensor] = []
    part = model.layer_list()[layer].attention
    hook = part.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    model(x, memory=memory)
    hook.remove()
    return given[0]


@pytest.mark.parametrize("layer", [0, 2])
def test_looks_at_a_memory_are_what_its_states_are_mixed_by(layer):
    model = transformer("memory", "dense", "memory")
    part, x, seen = model.layer_list()[layer].attention, inputs(3, FRAMES), memory(0, 1, 2)
    looks = model.attention_weights(x, layer, seen)
    assert looks.shape == (3, 2, FRAMES, SEEN)
    values = part.split(part.project(seen.states).chunk(2, dim=2)[1])
    wanted = part(layer_input(model, layer, x, seen), seen)
    torch.testing.assert_close(part.out(part.merge(looks @ values)), wanted)
    sums = torch.tensor([1.0, 1.0, 0.0]).double()  # the last item sees nothing
    torch.testing.assert_close(looks.sum(3), sums[:, None, None].expand(3, 2, FRAMES))
    assert not looks.masked_select(~seen.mask[:, None, None]).any()


@pytest.mark.parametrize("layer", [0, 2])
def test_looks_at_a_prefix_are_those_of_the_music_alone(layer):
    model, x = transformer("prefix", "dense", "prefix"), inputs(2, FRAMES)
    part, prefix = model.layer_list()[layer].attention, LAYOUT.prefix_length
    q, k, _ = part.project(layer_input(model, layer, x, None)).chunk(3, dim=2)
    q, k = part.split(q), part.split(k)
    for n, looks in enumerate(model.attention_weights(x, layer).unbind(2), start=prefix):
        seen = k[:, :, : min(n + 1, LAYOUT.prefix_span)]  # which may hold a little of the music
        scores = q[:, :, n, None] @ seen.transpose(2, 3) / 2  # the root of a head's 4 channels
        shares = scores[:, :, 0].softmax(-1)
        torch.testing.assert_close(looks, shares[:, :, :prefix])
    assert n == FRAMES - 1


@pytest.mark.parametrize("total", [LAYOUT.prefix_length + 1, 13, 23])
@pytest.mark.parametrize("pattern", ["memory", "prefix"])
def test_looks_of_a_window_that_ends_early_are_the_first_of_a_whole_one(pattern, total):
    model, x, seen = transformer("dense", pattern), inputs(2, FRAMES), memory(0, 1)
    whole, looks = (
        model.attention_weights(x, 1, seen),
        model.attention_weights(x[:, :total], 1, seen),
    )
    assert looks.shape[2] == (total if pattern == "memory" else total - LAYOUT.prefix_length)
    torch.testing.assert_close(looks, whole[:, :, : looks.shape[2]])


def tiny_prior(width: int = 32, bins: int = 20, **knobs: object) -> Prior:
    torch.manual_seed(0)
    known = {"depth": len(ATTENTION_PATTERNS), "heads": 2, "patterns": ATTENTION_PATTERNS}
    config = {"context_length": FRAMES, "rows": 4, **known, **knobs}
    prior = Prior(PriorConfig(width=width, **config), bins, {})
    return larger(prior).eval()


def conditions_of_items(prior: Prior, count: int) -> list[Conditioning]:
    """For each item all that can steer a prior, which sees a part of its memory."""
    torch.manual_seed(1)
    width, letters = prior.config.width, torch.randn(9, prior.config.width)
    return [
        Conditioning(
            start=torch.randn(1, width),
            per_token=torch.randn(1, FRAMES, width),
            memory=torch.randn(1, 11, width),
            memory_mask=torch.rand(1, 11) < 0.5,
            prefix=a_prefix(prior, letters),
        )
        for _ in range(count)
    ]


def a_prefix(prior: Prior, letters: Tensor) -> Prefix | None:
    length = prior.config.prefix_length
    ids = torch.randint(len(letters), (1, length))
    return Prefix(ids, letters, torch.ones(length)) if length else None


@pytest.mark.parametrize(
    "patterns", [*((p,) for p in ATTENTION_PATTERNS), ATTENTION_PATTERNS], ids="+".join
)
def test_logits_depend_on_no_token_at_or_after_their_own(patterns):
    prior = tiny_prior(patterns=patterns).double()
    seen: list[Tensor] = []
    prior.token_embedding.register_forward_hook(lambda module, given, out: seen.append(out))
    memory = inputs(1, SEEN).repeat(1, 1, 2).requires_grad_()
    logits = prior(torch.randint(20, (1, FRAMES)), Conditioning(memory=memory))
    towards = torch.randn(20).double()
    for n in range(FRAMES):
        scalar = (logits[0, n] * towards).sum()
        both = torch.autograd.grad(scalar, (seen[0], memory), retain_graph=True, allow_unused=True)
        felt = both[0][0].abs().sum(1) > 0  # by token
        assert not felt[n:].any()
        if "dense" in patterns:
            assert felt[:n].all()
        if "memory" in patterns:  # all of it, from the first token on
            assert (both[1][0].abs().sum(1) > 0).all()


SIZES = {
    "as the presets have": {"width": 64, "bins": 64},
    "a hidden layer of odd size": {"width": 40, "bins": 64},
    "heads of odd size": {"width": 200, "bins": 64},
    "an odd number of bins": {"width": 36, "bins": 37, "heads": 3, "tied": False},
    "wide": {"width": 256, "bins": 512, "heads": 4, "mlp": 2.0},
    "letters before the music": {"width": 40, "bins": 37, "prefix": 8},
}


@torch.inference_mode()
def logits_of_item_5(prior: Prior, batch: list[int], begun: int) -> Tensor:
    """Its steps after the beginning, drawn together with the other items of the batch."""
    every = conditions_of_items(prior, 16)
    tokens = torch.randint(prior.codebook_size, (16, FRAMES))[batch]
    conditions = stack_conditionings([every[item] for item in batch])
    caches = prior.make_caches(len(batch), conditions)
    prior.prefill(tokens[:, :begun], conditions, caches)
    steps = [prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(begun, FRAMES)]
    return torch.stack(steps, dim=1)[batch.index(5)]


@pytest.mark.parametrize("begun", [0, 9])
@pytest.mark.parametrize("size", SIZES)
def test_an_item_is_the_same_to_the_bit_whatever_the_batch(size, begun):
    prior = tiny_prior(**SIZES[size])
    alone = logits_of_item_5(prior, [5], begun)
    for batch in ([1, 5, 2], list(range(16))):
        assert torch.equal(logits_of_item_5(prior, batch, begun), alone)


@pytest.fixture
def two_threads() -> Iterator[Callable[[], None]]:
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(before)


@pytest.mark.parametrize("prefix", [0, 8])
def test_an_item_is_the_same_to_the_bit_whatever_the_batch_on_more_threads(two_threads, prefix):
    prior, begun = tiny_prior(**SIZES["wide"], prefix=prefix), FRAMES - 2  # threads are slow here
    two_threads()
    alone = logits_of_item_5(prior, [5], begun)
    assert torch.equal(logits_of_item_5(prior, [1, 5, 2], begun), alone)


def halved(module: torch.nn.Module) -> torch.nn.Module:
    for part in module.modules():
        if isinstance(part, BatchInvariantLinear):
            part.store_weight_as_fp16()
    return module


@pytest.mark.parametrize("size", SIZES)
def test_with_weights_in_half_precision_an_item_is_the_same_to_the_bit_too(size):
    prior = halved(tiny_prior(**SIZES[size]))
    alone = logits_of_item_5(prior, [5], begun=9)
    assert alone.dtype == torch.float32
    for batch in ([1, 5, 2], list(range(16))):
        assert torch.equal(logits_of_item_5(prior, batch, begun=9), alone)


@torch.inference_mode()
def test_a_weight_in_half_precision_is_rounded_once_and_used_in_both_ways_alike():
    torch.manual_seed(0)
    part, x = BatchInvariantLinear(40, 24, std=1.0), torch.randn(3, 1, 40).half().float()
    wanted = x @ part.weight.half().float() + part.bias
    part.store_weight_as_fp16()
    assert part.weight.dtype == torch.float16
    assert part.weight.T.is_contiguous()
    torch.testing.assert_close(part(x), wanted)
    torch.testing.assert_close(part.step(x), wanted, rtol=1e-3, atol=1e-2)


@torch.inference_mode()
@pytest.mark.parametrize("prefix", [0, 4])
def test_what_is_given_is_computed_item_by_item(prefix):
    prior, tokens = tiny_prior(width=200, prefix=prefix), torch.randint(20, (16, 5))
    conditions = stack_conditionings(conditions_of_items(prior, 16))
    together = prior.make_caches(16, conditions)
    prior.prefill(tokens, conditions, together)
    for item in range(16):
        mine = conditions.item(item)
        alone = prior.make_caches(1, mine)
        prior.prefill(tokens[item : item + 1], mine, alone)
        for one, among in zip(alone, together, strict=True):
            part = among.for_item(item, heads=2)
            assert torch.equal(one.keys, part.keys)
            assert torch.equal(one.values, part.values)
            assert one.keys.any()
