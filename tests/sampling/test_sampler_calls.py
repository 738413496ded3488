"""Results of samplers are checked; errors of invalid logits name their source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, nan
from typing import ClassVar

import pytest
import torch
from jukebox_plugins.samplers import Greedy, Guidance, MinP, Temperature, TopK, TopP
from torch import Tensor

from jukebox_cli.interfaces.contract import PluginError
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler, SamplingParameters
from jukebox_cli.sampling.rng import draw_tokens
from jukebox_cli.sampling.sampler_calls import (
    LogitMaxima,
    apply_samplers,
    fuse_samplers,
    raise_for_invalid_logits,
)
from support.results import refusal

HISTORY = torch.zeros(2, 0, dtype=torch.int64)
PLACES = ["the first", "the second"]
LOGITS = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@dataclass(frozen=True)
class Change(Sampler):
    """Returns what a function returns for the logits."""

    name: ClassVar[str] = "change"
    function: Callable[[Tensor], Tensor] = torch.clone

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return self.function(logits)


@dataclass(frozen=True)
class Difference(GuidanceSampler):
    name: ClassVar[str] = "difference"
    scale: float = 1.0

    def combine(self, cond_logits: Tensor, uncond_logits: Tensor) -> Tensor:
        return self.scale * (cond_logits - uncond_logits)


@dataclass(frozen=True)
class Fused(Sampler):
    """Says that it does what some parameters do."""

    name: ClassVar[str] = "fused"
    does: Mapping[str, float] = field(default_factory=dict)

    @property
    def parameters(self) -> Mapping[str, float]:
        return self.does

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits


@dataclass(frozen=True)
class Broken(Fused):
    name: ClassVar[str] = "broken"

    @property
    def parameters(self) -> Mapping[str, float]:
        raise KeyError("no")


def test_guidance_runs_first_and_samplers_in_order() -> None:
    pair = torch.cat([LOGITS, torch.ones_like(LOGITS)])
    chain = [Change(lambda x: x + 1), Change(lambda x: x * 10)]
    result = apply_samplers(chain, [Difference(2.0)], pair, HISTORY)
    torch.testing.assert_close(result, (2 * (LOGITS - 1) + 1) * 10)


@pytest.mark.parametrize(
    ("samplers", "expected"),
    [
        ([], SamplingParameters()),
        ([Temperature(0.9)], SamplingParameters(temperature=0.9)),
        ([Temperature(None), TopP(0.5)], SamplingParameters(top_p=0.5)),
        (
            [Guidance(2.0), Temperature(0.9), TopK(5), TopP(0.8), MinP(0.1), Greedy(True)],
            SamplingParameters(2.0, 0.9, 5, 0.8, 0.1, True),
        ),
        ([Fused({"temperature": 2.0}), TopK(3)], SamplingParameters(temperature=2.0, top_k=3)),
        ([Fused({"top_k": 3, "min_p": 0.5})], SamplingParameters(top_k=3, min_p=0.5)),
        # not all of them, or not in the order of an engine's own sampling
        ([Change()], None),
        ([Temperature(0.9), Change(), TopK(5)], None),
        ([Guidance(2.0), Difference()], None),
        ([TopK(5), Temperature(0.9)], None),
        ([TopP(0.8), TopK(5)], None),
        ([MinP(0.1), TopP(0.8)], None),
        ([Greedy(True), MinP(0.1)], None),
        ([Temperature(0.9), Temperature(0.9)], None),  # twice
        ([Fused({"temperature": 2.0}), Temperature(0.9)], None),
        ([Fused({"min_p": 0.5, "top_k": 3})], None),
        ([Fused({"top_k": 3, "min_p": 0.5}), TopP(0.8)], None),  # which belongs between the two
    ],
)
def test_samplers_are_fused_if_an_engine_has_all_of_them_in_their_order(
    samplers: list[Sampler], expected: SamplingParameters | None
) -> None:
    assert fuse_samplers(samplers) == expected


def test_an_error_in_a_samplers_parameters_names_it() -> None:
    with pytest.raises(PluginError) as caught:
        fuse_samplers([Broken()])
    assert caught.value.message.startswith("plugin 'broken': parameters")


def test_without_samplers_the_logits_are_those_of_the_prior() -> None:
    assert apply_samplers([], [], LOGITS, HISTORY) is LOGITS


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda x: x.tolist(), "list, not a tensor"),
        (lambda x: x[:1], "logits of shape (1, 3), not (2, 3)"),
        (lambda x: x.half(), "logits of dtype torch.float16, not torch.float32"),
    ],
)
def test_logits_of_another_shape_or_dtype_are_refused(
    function: Callable[[Tensor], Tensor], problem: str
) -> None:
    message, hint = refusal(apply_samplers, [Change(function)], [], LOGITS, HISTORY)
    assert message == f"plugin 'change': __call__() returned {problem}"
    assert hint == "uninstall it, or switch it off with JUKEBOX_BLOCK=change"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([nan, 0.0, 1.0], "NaN"),
        ([nan, inf, -inf], "NaN"),
        ([0.0, inf, -inf], "+inf"),
        ([-inf, -inf, -inf], "nothing but -inf"),
    ],
)
def test_logits_with_nan_or_inf_or_no_finite_value_are_invalid(
    row: list[float], problem: str
) -> None:
    bad = torch.tensor([[0.0, 1.0, 2.0], row])
    maxima = LogitMaxima(2, 4, torch.device("cpu"))
    for position, logits in enumerate([LOGITS, bad, bad, LOGITS]):
        maxima.record(position, logits)
    assert [maxima.first_invalid(end) for end in range(5)] == [None, None, 1, 1, 1]
    chain = [Change(), Change(lambda x: bad), Change()]
    message, _ = refusal(raise_for_invalid_logits, chain, [], LOGITS, HISTORY, PLACES)
    assert message == f"plugin 'change': __call__() returned logits with {problem} for the second"


def test_forbidden_tokens_are_valid() -> None:
    maxima = LogitMaxima(1, 1, torch.device("cpu"))
    maxima.record(0, torch.tensor([[-inf, 0.0, -inf]]))
    assert maxima.first_invalid(1) is None


def test_a_position_that_is_not_sampled_is_valid() -> None:
    assert LogitMaxima(2, 3, torch.device("cpu")).first_invalid(3) is None


def test_invalid_logits_of_the_prior_are_reported() -> None:
    assert refusal(raise_for_invalid_logits, [Change()], [], LOGITS * nan, HISTORY, PLACES) == (
        "the prior returned logits with NaN for the first",
        "its weights are damaged, or its training diverged: restore them, or train the prior again",
    )


def test_invalid_logits_of_guidance_are_reported() -> None:
    pair = torch.cat([LOGITS, LOGITS])
    message, _ = refusal(raise_for_invalid_logits, [], [Difference(inf)], pair, HISTORY, PLACES)
    assert message == "plugin 'difference': combine() returned logits with NaN for the first"


def test_a_sampler_with_invalid_logits_only_once_is_reported() -> None:
    assert refusal(raise_for_invalid_logits, [Change()], [], LOGITS, HISTORY, PLACES) == (
        "samplers (change) returned invalid logits, but valid ones when called again, "
        "for the first",
        "a sampler must depend on its arguments only; leave one out to see",
    )


def test_a_token_of_invalid_logits_is_in_the_codebook() -> None:
    logits = torch.tensor([[nan, 1.0], [inf, 1.0], [-inf, -inf]])
    tokens = draw_tokens(logits, torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    assert ((tokens >= 0) & (tokens < 2)).all()
