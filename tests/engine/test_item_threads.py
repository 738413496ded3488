"""Items shared out among threads have the tokens of a single thread, to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jukebox_cli.engine.engines import Engine
from jukebox_cli.engine.item_threads import GroupedWindow, ItemThreads
from jukebox_cli.engine.native import NativeEngine, NativeWindow
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.conditioning import stack_conditionings
from support.engines import needs_native_engine, pack
from support.networks import CONTEXT, make_full_prior, random_conditions, random_tokens

pytestmark = needs_native_engine
NUM_ITEMS, PROMPT = 5, 3


@torch.inference_mode()
def sampled(engine: Engine, guided: bool, prefix_length: int) -> tuple[Tensor, Tensor]:
    """The tokens that an engine samples after a prompt, and the logits of the last position."""
    prior = make_full_prior(prefix_length=prefix_length)
    rows = 2 * NUM_ITEMS if guided else NUM_ITEMS
    conditions = stack_conditionings(random_conditions(prior, rows))
    tokens = random_tokens(NUM_ITEMS)
    window = engine.open_window(conditions, tokens, rows, PROMPT, PROMPT)
    assert isinstance(window, GroupedWindow) == isinstance(engine, ItemThreads)
    assert isinstance(window, GroupedWindow | NativeWindow)
    assert window.next_position == PROMPT
    uniform = torch.rand(
        NUM_ITEMS, CONTEXT - 1 - PROMPT, generator=torch.Generator().manual_seed(3)
    )
    start = torch.full((NUM_ITEMS,), PROMPT)
    parameters = SamplingParameters(guidance=2.0 if guided else 1.0, top_p=0.9)
    reached = window.sample(PROMPT, CONTEXT - 1, start, uniform.double(), parameters)
    assert reached == window.next_position == CONTEXT - 1
    return tokens, window.logits(CONTEXT - 1)


@pytest.mark.parametrize("num_threads", [2, 3, 5, 9])
@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("guided", [False, True])
def test_threads_change_no_bit(guided: bool, prefix_length: int, num_threads: int) -> None:
    alone = NativeEngine(pack(make_full_prior(prefix_length=prefix_length)))
    expected_tokens, expected_logits = sampled(alone, guided, prefix_length)
    tokens, logits = sampled(ItemThreads(alone, num_threads), guided, prefix_length)
    assert torch.equal(tokens, expected_tokens)
    assert torch.equal(logits, expected_logits)


def test_one_item_needs_no_threads() -> None:
    prior = make_full_prior()
    engine = ItemThreads(NativeEngine(pack(prior)), 4)
    window = engine.open_window(random_conditions(prior, 1)[0], random_tokens(1), 1, 0, 0)
    assert isinstance(window, NativeWindow)


def test_an_error_in_a_thread_is_raised() -> None:
    engine = ItemThreads(NativeEngine(pack(make_full_prior())), 2)

    def fail() -> None:
        raise MemoryError("full")

    with pytest.raises(MemoryError, match="full"):
        engine.map([fail, lambda: None])
