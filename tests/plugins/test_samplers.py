"""Samplers: the contract of all, and the effect of each."""

from __future__ import annotations

from dataclasses import fields
from math import inf, log, nan
from typing import Any

import pytest
import torch
from jukebox_plugins.samplers import Greedy, Guidance, MinP, Temperature, TopK, TopP
from torch import Tensor

from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.registry import load_installed
from support.results import refusal

REGISTRY = load_installed(pytest.fail)

# every sampler

VALUES: dict[str, list[Any]] = {
    "guidance": [0.0, 1.0, 3.0, 100.0],
    "temperature": [0.001, 0.5, 1.0, 3.0],
    "top_k": [1, 3, 1000],
    "top_p": [1e-9, 0.5, 1.0],
    "min_p": [0.0, 0.3, 1.0],
    "greedy": [True, False],
}


SAMPLERS = [
    (name, option, value)
    for name, kind in REGISTRY.samplers.items()
    for option in (f.name for f in fields(kind))
    for value in VALUES.get(option, [])
]


def logits() -> Tensor:
    """(4, 10): random rows, of which one is uniform, one half forbidden and one all but one."""
    rows = torch.randn(4, 10, generator=torch.Generator().manual_seed(0)) * 3
    rows[1] = 2.5
    rows[2, ::2] = -inf
    rows[3] = -inf
    rows[3, 7] = -80.0
    return rows


HISTORY = torch.zeros(4, 3, dtype=torch.int64)


def test_every_option_is_tested() -> None:
    options = {f.name for kind in REGISTRY.samplers.values() for f in fields(kind)}
    assert options == set(VALUES)


@pytest.mark.parametrize("name", REGISTRY.samplers)
def test_a_sampler_without_options_does_nothing(name: str) -> None:
    kind = REGISTRY.samplers[name]
    assert all(f.default is None for f in fields(kind))
    assert torch.equal(kind()(logits(), HISTORY), logits())
    assert REGISTRY.make_samplers({f.name: None for f in fields(kind)}) == []


@pytest.mark.parametrize(("name", "option", "value"), SAMPLERS)
def test_a_sampler_keeps_rows_apart_and_leaves_a_token(name: str, option: str, value: Any) -> None:
    [sampler] = REGISTRY.make_samplers({option: value})
    before, after = logits(), sampler(logits(), HISTORY)
    assert after.shape == before.shape
    assert not after.isnan().any()
    assert (after > -inf).any(dim=1).all()
    assert ((before > -inf) | (after == -inf)).all()  # a forbidden token stays forbidden
    assert not after.softmax(dim=1).isnan().any()
    for row in range(4):
        alone = sampler(before[row : row + 1], HISTORY[row : row + 1])
        assert torch.equal(alone[0], after[row])
    flipped = sampler(before.flip(0), HISTORY)
    assert torch.equal(flipped.flip(0), after)


@pytest.mark.parametrize(("name", "option", "value"), SAMPLERS)
def test_a_sampler_does_not_write_into_its_input(name: str, option: str, value: Any) -> None:
    [sampler] = REGISTRY.make_samplers({option: value})
    before = logits()
    sampler(before, HISTORY)
    assert torch.equal(before, logits())


TEMPERATURE_HINT = "for the most likely token use --greedy"
HELP_HINT = "see `jukebox generate --help`"


@pytest.mark.parametrize(
    ("option", "values", "condition", "hint"),
    [
        ("temperature", (0.0, -1.0, nan, inf, 1e-9), "must be 0.001 or more", TEMPERATURE_HINT),
        ("top_k", (0, -3), "must be 1 or more", HELP_HINT),
        ("top_p", (0.0, 1.5, -1.0, nan), "must be more than 0 and at most 1", "1 switches it off"),
        ("min_p", (-0.1, 1.1, nan), "must be from 0 to 1", HELP_HINT),
        ("guidance", (-1.0, 100.5, 3e37, nan, inf), "must be from 0 to 100", "try 3"),
    ],
)
def test_an_invalid_option_is_an_error(
    option: str, values: tuple[float, ...], condition: str, hint: str
) -> None:
    for value in values:
        expected = (f"{option} {condition}, not {value:g}", hint)
        assert refusal(REGISTRY.make_samplers, {option: value}) == expected


# each sampler


@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
def test_guidance_extrapolates_from_unconditional_to_conditional(guidance: float) -> None:
    cond, uncond = torch.randn(2, 4, 10).unbind()
    expected = {0.0: uncond, 1.0: cond, 3.0: cond + 2 * (cond - uncond)}[guidance]
    torch.testing.assert_close(Guidance(guidance).combine(cond, uncond), expected)


@pytest.mark.parametrize(("guidance", "active"), [(None, False), (1.0, False), (1.5, True)])
def test_guidance_needs_unconditional_logits_only_where_it_uses_them(
    guidance: float | None, active: bool
) -> None:
    sampler = Guidance(guidance)
    assert sampler.needs_unconditional is active
    cond, uncond = torch.randn(2, 4, 10).unbind()
    assert torch.equal(sampler.combine(cond, uncond), cond) is not active


def kept(sampler: Sampler, probs: list[float]) -> list[int]:
    """The tokens that a sampler keeps of a distribution."""
    out = sampler(torch.tensor([[log(p) for p in probs]]), HISTORY[:1])
    return out[0].isfinite().nonzero().flatten().tolist()


def test_temperature_divides_the_logits() -> None:
    torch.testing.assert_close(Temperature(0.5)(logits(), HISTORY), logits() * 2)


@pytest.mark.parametrize(
    ("k", "probs", "expected"),
    [
        (1, [0.2, 0.5, 0.3], [1]),
        (2, [0.2, 0.5, 0.3], [1, 2]),
        (9, [0.2, 0.5, 0.3], [0, 1, 2]),
        (2, [0.2, 0.4, 0.2, 0.2], [0, 1, 2, 3]),  # tied with the last one
        (1, [0.25, 0.25, 0.25, 0.25], [0, 1, 2, 3]),
    ],
)
def test_top_k_keeps_the_k_most_likely_and_those_tied_with_the_last(
    k: int, probs: list[float], expected: list[int]
) -> None:
    assert kept(TopK(k), probs) == expected


@pytest.mark.parametrize(
    ("p", "probs", "expected"),
    [
        (0.5, [0.3, 0.6, 0.1], [1]),
        (0.7, [0.3, 0.6, 0.1], [0, 1]),
        (0.95, [0.3, 0.6, 0.1], [0, 1, 2]),
        (1e-9, [0.3, 0.6, 0.1], [1]),  # at least one token is kept
        (1e-9, [0.25, 0.25, 0.25, 0.25], [0]),
    ],
)
def test_top_p_keeps_the_most_likely_that_add_up_to_p(
    p: float, probs: list[float], expected: list[int]
) -> None:
    assert kept(TopP(p), probs) == expected


@pytest.mark.parametrize(
    ("p", "probs", "expected"),
    [
        (0.0, [0.3, 0.6, 0.1], [0, 1, 2]),
        (0.4, [0.3, 0.6, 0.1], [0, 1]),
        (0.6, [0.3, 0.6, 0.1], [1]),
        (1.0, [0.4, 0.2, 0.4], [0, 2]),
    ],
)
def test_min_p_keeps_what_is_near_the_most_likely(
    p: float, probs: list[float], expected: list[int]
) -> None:
    assert kept(MinP(p), probs) == expected


def test_greedy_leaves_the_most_likely_and_of_tied_ones_the_first() -> None:
    assert kept(Greedy(True), [0.2, 0.5, 0.3]) == [1]
    assert kept(Greedy(True), [0.2, 0.4, 0.4]) == [1]
    assert kept(Greedy(False), [0.2, 0.4, 0.4]) == [0, 1, 2]


def test_samplers_run_from_guidance_to_greedy() -> None:
    options = {"greedy": True, "min_p": 0.1, "top_p": 0.9, "top_k": 5, "temperature": 0.9}
    options["guidance"] = 3.0
    names = [sampler.name for sampler in REGISTRY.make_samplers(options)]
    assert names == ["guidance", "temperature", "top-k", "top-p", "min-p", "greedy"]
