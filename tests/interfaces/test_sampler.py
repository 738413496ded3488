"""The defaults of samplers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler


@dataclass(frozen=True)
class Mean(GuidanceSampler):
    name: ClassVar[str] = "mean"

    def combine(self, cond_logits: Tensor, uncond_logits: Tensor) -> Tensor:
        return (cond_logits + uncond_logits) / 2


def test_guidance_needs_unconditional_logits_and_leaves_others_unchanged() -> None:
    logits = torch.zeros(2, 3)
    assert Mean().needs_unconditional
    assert Mean()(logits, torch.zeros(2, 0, dtype=torch.int64)) is logits


def test_a_sampler_without_an_order_runs_between_the_built_in_ones() -> None:
    assert 40 < Sampler.order < 90


@pytest.mark.parametrize("kind", [Sampler, GuidanceSampler])
def test_a_sampler_must_define_its_method(kind: type[Sampler]) -> None:
    with pytest.raises(TypeError, match="abstract"):
        kind()
