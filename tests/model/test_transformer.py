"""The transformer: steps equal whole sequences, attention weights, memory, residual scaling."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jukebox_cli.config.schema import ATTENTION_PATTERNS
from jukebox_cli.model.attention import SelfAttention
from jukebox_cli.model.cross_attention import CrossAttention, Memory
from jukebox_cli.model.kv_cache import Layout
from jukebox_cli.model.transformer import Transformer, TransformerLayer, quick_gelu
from support.networks import (
    LAYOUT,
    MEMORY_LENGTH,
    POSITIONS,
    WIDTH,
    make_memory,
    make_transformer,
    random_inputs,
    random_tensor,
)
from support.results import refusal

NO_MEMORY = (
    "the prior has cross_attention layers, but no conditioner gives them a memory",
    "add a conditioner that makes one, or change its attention_patterns",
)


def as_int(n: int) -> int:
    return n


def as_tensor(n: int) -> Tensor:
    """The position as a CUDA graph reads it."""
    return torch.tensor([n])


@pytest.mark.parametrize("position", [as_int, as_tensor])
@pytest.mark.parametrize(
    "patterns", [*((p,) for p in ATTENTION_PATTERNS), ATTENTION_PATTERNS], ids="+".join
)
def test_steps_after_a_prompt_of_any_length_equal_the_whole_sequence(
    patterns: tuple[str, ...], position: Callable[[int], int | Tensor]
) -> None:
    model, x, memory = make_transformer(*patterns), random_inputs(2, POSITIONS), make_memory(1, 2)
    expected = model(x, memory=memory)
    for prompt in range(POSITIONS):
        caches = model.make_caches(2, memory)
        if prompt:
            prefilled = model(x[:, :prompt], caches, memory)
            torch.testing.assert_close(prefilled, expected[:, :prompt])
        end = min(POSITIONS, prompt + LAYOUT.columns + 1 if prompt else POSITIONS)
        steps = [model.step(x[:, n : n + 1], position(n), caches) for n in range(prompt, end)]
        torch.testing.assert_close(torch.cat(steps, dim=1), expected[:, prompt:end])


@settings(max_examples=15, deadline=None)
@given(st.integers(1, POSITIONS - 1), st.integers(0, POSITIONS))
def test_a_prompt_may_be_continued_to_any_length(prompt: int, count: int) -> None:
    model, x = make_transformer(*ATTENTION_PATTERNS), random_inputs(1, POSITIONS)
    memory = make_memory(1)
    caches, expected = model.make_caches(1, memory), model(x, memory=memory)
    model(x[:, :prompt], caches, memory)
    for n in range(prompt, min(POSITIONS, prompt + count)):
        out = model.step(x[:, n : n + 1], n, caches)
        torch.testing.assert_close(out, expected[:, n : n + 1])


@pytest.mark.parametrize("use", ["make_caches", "forward", "attention_weights"])
def test_cross_attention_without_a_memory_is_an_error(use: str) -> None:
    model, x = make_transformer("row", "cross_attention"), random_inputs(1, POSITIONS)
    uses: dict[str, Callable[[], object]] = {
        "make_caches": lambda: model.make_caches(1),
        "forward": lambda: model(x),
        "attention_weights": lambda: model.attention_weights(x, 1),
    }
    assert refusal(uses[use]) == NO_MEMORY


def attention_input(model: Transformer, layer: int, x: Tensor, memory: Memory | None) -> Tensor:
    """The input of a layer's attention when the model gets `x`."""
    inputs: list[Tensor] = []
    attention = model.layer_list()[layer].attention
    hook = attention.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    model(x, memory=memory)
    hook.remove()
    return inputs[0]


@pytest.mark.parametrize("layer", [0, 2])
def test_the_attention_weights_of_a_memory_mix_its_values(layer: int) -> None:
    model = make_transformer("cross_attention", "dense", "cross_attention")
    attention, memory = model.layer_list()[layer].attention, make_memory(0, 1, 2)
    assert isinstance(attention, CrossAttention)
    assert memory.mask is not None
    x = random_inputs(3, POSITIONS)
    weights = model.attention_weights(x, layer, memory)
    assert weights.shape == (3, 2, POSITIONS, MEMORY_LENGTH)
    values = attention.split_heads(attention.key_value(memory.states).chunk(2, dim=2)[1])
    expected = attention(attention_input(model, layer, x, memory), memory)
    torch.testing.assert_close(attention.out(attention.merge_heads(weights @ values)), expected)
    sums = torch.tensor([1.0, 1.0, 0.0]).double()  # the last item attends to nothing
    torch.testing.assert_close(weights.sum(3), sums[:, None, None].expand(3, 2, POSITIONS))
    assert not weights.masked_select(~memory.mask[:, None, None]).any()


@pytest.mark.parametrize("layer", [0, 2])
def test_the_attention_weights_of_a_prefix_layer_are_those_of_its_input(layer: int) -> None:
    model, x = make_transformer("prefix", "dense", "prefix"), random_inputs(2, POSITIONS)
    attention = model.layer_list()[layer].attention
    assert isinstance(attention, SelfAttention)
    expected = attention.prefix_attention_weights(attention_input(model, layer, x, None))
    weights = model.attention_weights(x, layer)
    assert weights.shape == (2, 2, POSITIONS - LAYOUT.prefix_length, LAYOUT.prefix_length)
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("total", [LAYOUT.prefix_length + 1, 13, 23])
@pytest.mark.parametrize("pattern", ["cross_attention", "prefix"])
def test_the_attention_weights_of_a_shorter_sequence_are_the_first_of_a_longer_one(
    pattern: str, total: int
) -> None:
    model, x = make_transformer("dense", pattern), random_inputs(2, POSITIONS)
    memory = make_memory(0, 1)
    longer = model.attention_weights(x, 1, memory)
    weights = model.attention_weights(x[:, :total], 1, memory)
    is_prefix = pattern == "prefix"
    assert weights.shape[2] == total - (LAYOUT.prefix_length if is_prefix else 0)
    torch.testing.assert_close(weights, longer[:, :, : weights.shape[2]])


def make_layer(residual_scale: float) -> TransformerLayer:
    torch.manual_seed(0)
    attention = SelfAttention("row", Layout(2, 3), WIDTH, 8, heads=2, out_std=1.0)
    return TransformerLayer(attention, WIDTH, 32, residual_scale, out_std=1.0).double()


def test_a_layer_adds_attention_and_an_mlp_of_both() -> None:
    layer, x = make_layer(residual_scale=0.5), random_tensor(2, 6, WIDTH)
    a = layer.attention(layer.attention_norm(x))
    hidden = layer.mlp_in(layer.mlp_norm(x + a))
    m = layer.mlp_out(hidden * torch.sigmoid(1.702 * hidden))
    torch.testing.assert_close(layer(x), x + 0.5 * (a + m))


def test_quick_gelu_is_close_to_gelu() -> None:
    x = torch.linspace(-4, 4, 101)
    torch.testing.assert_close(quick_gelu(x), torch.nn.functional.gelu(x), atol=0.021, rtol=0)


def test_patterns_repeat_over_the_layers() -> None:
    model = Transformer(
        context_length=24,
        rows=4,
        width=WIDTH,
        depth=5,
        heads=2,
        attention_width=8,
        mlp_width=16,
        attention_patterns=("row", "dense"),
        residual_scale=0.2,
    )
    patterns = [layer.attention.pattern for layer in model.layer_list()]
    assert patterns == ["row", "dense", "row", "dense", "row"]
    assert [layer.residual_scale for layer in model.layer_list()] == [0.2] * 5


@pytest.mark.parametrize("num_layers", [0, 1, 2])
def test_the_first_layers_can_run_alone(num_layers: int) -> None:
    model, x = make_transformer("row", "column", "dense"), random_inputs(2, POSITIONS)
    expected = x
    for layer in model.layer_list()[:num_layers]:
        expected = layer(expected)
    torch.testing.assert_close(model(x, num_layers=num_layers), expected)
