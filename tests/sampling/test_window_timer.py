"""Windows are opened and sampled with a clock."""

from __future__ import annotations

import numpy as np
import torch

from jukebox_cli.model.conditioning import Conditioning, stack_conditionings
from jukebox_cli.sampling.sampler import LevelSampler
from jukebox_cli.sampling.window_timer import RepeatedConditions, WindowTimer
from jukebox_cli.sampling.windows import TokenWindow
from support.interruptions import CONTEXT_LENGTH
from support.songs import item_conditions, one_prior

CPU = torch.device("cpu")


def make_conditions(*items: int) -> RepeatedConditions:
    return RepeatedConditions([item_conditions([item]) for item in items], CPU)


def per_token(conditions: Conditioning) -> torch.Tensor:
    assert conditions.per_token is not None
    return conditions.per_token


def test_conditions_are_repeated_with_the_unconditional_ones_last() -> None:
    window, repeated = TokenWindow(0, 0, 4), make_conditions(0, 1)
    repeated.prepare(3, window)
    singles = [item_conditions([item]).conditioning(window) for item in (0, 0, 0, 1, 1, 1)]
    expected = per_token(stack_conditionings(singles))
    assert torch.equal(per_token(repeated.conditioning(window)), expected)
    assert repeated.seconds > 0


def test_a_window_is_sampled_after_its_prompt() -> None:
    timer = WindowTimer(LevelSampler(2, one_prior(), []), make_conditions(0))
    opened, seconds = timer.open(2, TokenWindow(0, 5, CONTEXT_LENGTH))
    assert seconds > 0
    prompts = [item.tokens[:5].copy() for item in opened.batch]
    assert not np.array_equal(*prompts)
    assert timer.sample(opened, every=2, seconds=60) > 0
    assert [item.num_done for item in opened.batch] == [CONTEXT_LENGTH] * 2
    assert all(np.array_equal(o.tokens[:5], p) for o, p in zip(opened.batch, prompts, strict=True))


def test_sampling_ends_after_some_seconds() -> None:
    timer = WindowTimer(LevelSampler(2, one_prior(), []), make_conditions(0))
    opened, _ = timer.open(1, TokenWindow(0, 0, CONTEXT_LENGTH))
    assert timer.sample(opened, every=1, seconds=0) > 0
    assert opened.batch[0].num_done == 3
