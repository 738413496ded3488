"""The engines open windows that have the logits of `Prior.step`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jukebox_cli.engine.engines import Engine, SamplingWindow, TorchEngine
from jukebox_cli.engine.native import NativeEngine
from jukebox_cli.model.conditioning import Conditioning, stack_conditionings
from jukebox_cli.model.prior import Prior
from support.engines import needs_native_engine, pack, torch_steps
from support.networks import CONTEXT, make_full_prior, random_conditions, random_tokens

MakeEngine = Callable[[Prior], Engine]
each_engine = pytest.mark.parametrize(
    "make_engine",
    [
        pytest.param(TorchEngine, id="torch"),
        pytest.param(
            lambda prior: NativeEngine(pack(prior)), id="native", marks=needs_native_engine
        ),
    ],
)
PROMPT = 7


def make_inputs(batch: int = 2) -> tuple[Prior, Conditioning, Tensor]:
    prior = make_full_prior(prefix_length=8)
    return prior, stack_conditionings(random_conditions(prior, batch)), random_tokens(batch)


@each_engine
@torch.inference_mode()
def test_a_window_goes_on_after_its_prompt(make_engine: MakeEngine) -> None:
    prior, conditions, tokens = make_inputs()
    expected = torch_steps(prior, conditions, tokens, PROMPT)
    window = make_engine(prior).open_window(conditions, tokens.clone(), 2, PROMPT, PROMPT)
    assert window.next_position == PROMPT
    for position in range(PROMPT, CONTEXT):
        logits = window.logits(position)
        torch.testing.assert_close(logits, expected[:, position - PROMPT], rtol=1e-3, atol=0.05)
        assert window.next_position == position + 1


@each_engine
@torch.inference_mode()
def test_known_tokens_after_the_prompt_have_the_bits_of_sampled_ones(
    make_engine: MakeEngine,
) -> None:
    prior, conditions, tokens = make_inputs()
    engine, known = make_engine(prior), 13
    sampled = engine.open_window(conditions, tokens, 2, PROMPT, PROMPT)
    resumed = engine.open_window(conditions, tokens, 2, PROMPT, known)
    assert PROMPT <= resumed.next_position <= known
    expected = {position: sampled.logits(position).clone() for position in range(PROMPT, CONTEXT)}
    for position in range(resumed.next_position, CONTEXT):
        assert torch.equal(resumed.logits(position), expected[position])


@each_engine
@torch.inference_mode()
def test_tokens_that_are_drawn_are_read_from_the_windows_tensor(make_engine: MakeEngine) -> None:
    prior, conditions, tokens = make_inputs()
    expected = make_engine(prior).open_window(conditions, tokens, 2, 0, 0)
    drawn = torch.zeros_like(tokens)
    window = make_engine(prior).open_window(conditions, drawn, 2, 0, 0)
    for position in range(CONTEXT):
        assert torch.equal(window.logits(position), expected.logits(position))
        drawn[:, position] = tokens[:, position]


@each_engine
@torch.inference_mode()
def test_rows_of_guidance_follow_the_same_tokens(make_engine: MakeEngine) -> None:
    """The items once with their conditions, and once more with others."""
    prior, conditions, tokens = make_inputs(4)
    guided = make_engine(prior).open_window(conditions, tokens[:2].clone(), 4, PROMPT, PROMPT)
    twice = torch.cat([tokens[:2]] * 2)
    plain = make_engine(prior).open_window(conditions, twice, 4, PROMPT, PROMPT)
    for position in range(PROMPT, CONTEXT):
        assert torch.equal(guided.logits(position), plain.logits(position))


@needs_native_engine
def test_a_window_of_the_native_engine_draws_tokens_itself() -> None:
    prior, conditions, tokens = make_inputs()
    native, by_torch = (
        engine.open_window(conditions, tokens, 2, 0, 0)
        for engine in (NativeEngine(pack(prior)), TorchEngine(prior))
    )
    assert isinstance(native, SamplingWindow)
    assert not isinstance(by_torch, SamplingWindow)
