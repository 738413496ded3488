"""Cross-attention: masks, query encodings, attention targets, and independence of the batch."""

from __future__ import annotations

from itertools import product
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from jukebox_cli.model.cross_attention import CrossAttention, Memory
from support.networks import (
    MASKS,
    MEMORY_LENGTH,
    POSITIONS,
    WIDTH,
    make_memory,
    random_inputs,
    randomize,
)

TIGHT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}


def make_attention(width: int = WIDTH) -> CrossAttention:
    torch.manual_seed(0)
    return randomize(CrossAttention(width, attention_width=width // 2, heads=2, out_std=0.5))


def naive_cross_attention(attention: CrossAttention, x: Tensor, memory: Memory) -> Tensor:
    """`attention(x, memory)`, item by item, head by head, from the unmasked states alone."""
    q, (k, v) = attention.query(x), attention.key_value(memory.states).chunk(2, dim=2)
    mixed, head_dim = torch.zeros_like(q), attention.attention_width // attention.heads
    for item, head in product(range(len(x)), range(attention.heads)):
        of_head = slice(head * head_dim, (head + 1) * head_dim)
        visible = slice(None) if memory.mask is None else memory.mask[item].nonzero()[:, 0]
        scores = q[item, :, of_head] @ k[item, visible, of_head].T / sqrt(head_dim)
        mixed[item, :, of_head] = scores.softmax(-1) @ v[item, visible, of_head]
    return attention.out(mixed)


@pytest.mark.parametrize("masked", [True, False])
def test_forward_and_steps_equal_a_softmax_over_the_unmasked_states(masked: bool) -> None:
    attention, x, memory = make_attention(), random_inputs(3, POSITIONS), make_memory(0, 1, 2)
    memory = memory if masked else Memory(memory.states)
    expected = naive_cross_attention(attention, x, memory)
    torch.testing.assert_close(attention(x, memory), expected, **TIGHT)
    cache = attention.make_cache(memory)
    for n in range(POSITIONS):
        step = attention.step(x[:, n : n + 1], n, cache)
        torch.testing.assert_close(step[:, 0], expected[:, n], **TIGHT)


def test_a_query_encoding_is_added_to_the_queries_input() -> None:
    attention, x, memory = make_attention(), random_inputs(3, POSITIONS), make_memory(0, 1, 2)
    encoding = random_inputs(3, POSITIONS - 2)  # the last row may be padded beyond the music
    encoded = x + torch.cat([encoding, torch.zeros_like(x[:, :2])], dim=1)
    expected = naive_cross_attention(attention, encoded, memory)
    with_encoding = memory._replace(query_encoding=encoding)
    torch.testing.assert_close(attention(x, with_encoding), expected, **TIGHT)
    weights = attention.memory_attention_weights(x, with_encoding)
    assert torch.equal(weights, attention.memory_attention_weights(encoded, memory))
    cache = attention.make_cache(with_encoding)
    for n in range(POSITIONS - 2):
        step = attention.step(x[:, n : n + 1], n, cache)
        torch.testing.assert_close(step[:, 0], expected[:, n], **TIGHT)


def test_the_attention_target_loss_is_the_cross_entropy_of_the_first_head() -> None:
    attention, x, memory = make_attention(), random_inputs(3, POSITIONS), make_memory(0, 0, 1)
    target = torch.rand(3, POSITIONS - 2, MEMORY_LENGTH)  # the last row may be padded
    target = target * MASKS[[0, 0, 1]][:, None]
    losses: list[Tensor] = []
    attention(x, memory._replace(attention_target=target, attention_losses=losses))
    weights = attention.memory_attention_weights(x, memory)[:, 0, : POSITIONS - 2]
    bits = torch.where(target > 0, -weights.log2(), 0.0)
    torch.testing.assert_close(losses, [(target * bits).sum(2).mean().float()])


def test_a_head_that_is_sure_of_a_wrong_place_gets_a_large_gradient() -> None:
    attention, x = make_attention(), random_inputs(1, POSITIONS)
    memory = Memory(random_inputs(1, MEMORY_LENGTH))
    with torch.no_grad():
        attention.query.weight.mul_(1e4)
        least = attention.memory_attention_weights(x, memory)[:, 0].argmin(2)
    losses: list[Tensor] = []
    target = torch.nn.functional.one_hot(least, MEMORY_LENGTH).float()
    attention(x, memory._replace(attention_target=target, attention_losses=losses))
    assert losses[0] > 100
    losses[0].backward()
    assert attention.query.bias.grad is not None
    assert attention.query.bias.grad.norm() > 0.1


def test_an_item_whose_memory_is_masked_out_attends_to_zeros() -> None:
    attention, x, memory = make_attention(), random_inputs(2, POSITIONS), make_memory(2, 1)
    expected = attention.out.bias.expand(POSITIONS, WIDTH)
    assert torch.equal(attention(x, memory)[0], expected)
    assert torch.equal(attention.step(x[:, :1], 0, attention.make_cache(memory))[0], expected[:1])
    assert not torch.equal(attention(x, memory)[1], expected)


def test_only_unmasked_states_influence_the_output() -> None:
    attention, x, memory = make_attention(), random_inputs(3, 1), make_memory(0, 1, 2)
    states, mask = memory.states.requires_grad_(), MASKS
    memory = Memory(states, mask)
    for out in (attention(x, memory), attention.step(x, 0, attention.make_cache(memory))):
        (gradient,) = torch.autograd.grad((out @ random_inputs(1, 1)[0, 0]).sum(), states)
        assert torch.equal(gradient.abs().sum(2) > 0, mask)


def test_an_item_attends_to_its_own_memory_only() -> None:
    attention, x, memory = make_attention(), random_inputs(2, POSITIONS), make_memory(0, 1)
    both = attention(x, memory)
    for item in range(2):
        alone = attention(x[item : item + 1], memory.item(item))
        torch.testing.assert_close(alone[0], both[item])


@torch.inference_mode()
def test_a_cache_is_the_same_to_the_bit_for_any_batch() -> None:
    attention = make_attention(200).float()
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(16, 11, 200, generator=generator)
    encoding = torch.randn(16, 7, 200, generator=generator)
    memory = Memory(states, torch.rand(16, 11, generator=generator) < 0.5, encoding)
    together = attention.make_cache(memory)
    for item in range(16):
        alone = attention.make_cache(memory.item(item))
        part = together.for_item(item, heads=2)
        assert part.mask is not None
        assert part.query_encoding is not None
        for expected, tensor in zip(alone, part, strict=True):
            assert expected is not None
            assert tensor is not None
            assert torch.equal(expected, tensor)
