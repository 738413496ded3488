"""The steps of a window are those of `Prior.step`."""

from __future__ import annotations

import pytest
import torch

from jukebox_cli.engine.step import make_step
from support.steps import step_pairs


@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("prompt", [0, 1, 9])
def test_the_steps_on_a_cpu_are_the_reference_to_the_bit(prompt: int, prefix_length: int) -> None:
    for logits, expected in step_pairs(make_step, prompt, prefix_length):
        assert torch.equal(logits, expected)
