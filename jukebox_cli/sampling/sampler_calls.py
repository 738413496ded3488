"""Calls of samplers, with checks of the logits they return.

Shapes and dtypes are checked at every call. Whether a token can be drawn depends on the values of
the logits, and reading these at every token would keep a GPU waiting. So the maximum of the logits
at each position is recorded on the device, and all are read together before tokens are stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from jukebox_cli.interfaces.contract import method_error, plugin_errors
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler, SamplingParameters


def apply_samplers(
    samplers: Sequence[Sampler],
    guidance_samplers: Sequence[GuidanceSampler],
    logits: Tensor,
    history: Tensor,
) -> Tensor:
    """Logits (B, V) after all samplers.

    logits: those of the prior; with guidance samplers (2B, V), the unconditional ones last.
    history: tokens (B, t) of the window before the current position.
    """
    for _, _, result in _sampler_results(samplers, guidance_samplers, logits, history):
        logits = result
    return logits


def _sampler_results(
    samplers: Sequence[Sampler],
    guidance_samplers: Sequence[GuidanceSampler],
    logits: Tensor,
    history: Tensor,
) -> Iterator[tuple[Sampler, str, Tensor]]:
    """Call the samplers in order: each with the called method and the logits (B, V) it returned."""
    if guidance_samplers:
        logits, uncond_logits = logits.chunk(2)
        for guidance in guidance_samplers:
            with plugin_errors(guidance, "combine"):
                result = guidance.combine(logits, uncond_logits)
            logits = _require_like(guidance, "combine", result, logits)
            yield guidance, "combine", logits
    for sampler in samplers:
        with plugin_errors(sampler, "__call__"):
            result = sampler(logits, history)
        logits = _require_like(sampler, "__call__", result, logits)
        yield sampler, "__call__", logits


def _require_like(sampler: Sampler, method: str, result: object, logits: Tensor) -> Tensor:
    """The result. Raises PluginError if its shape or dtype is not that of the logits."""
    if not isinstance(result, Tensor):
        raise method_error(sampler, method, f"returned {type(result).__name__}, not a tensor")
    if result.shape != logits.shape:
        what = f"returned logits of shape {tuple(result.shape)}, not {tuple(logits.shape)}"
        raise method_error(sampler, method, what)
    if result.dtype != logits.dtype:
        what = f"returned logits of dtype {result.dtype}, not {logits.dtype}"
        raise method_error(sampler, method, what)
    return result


def fuse_samplers(samplers: Sequence[Sampler]) -> SamplingParameters | None:
    """What samplers do, if an engine's own sampling does it in the same order; else None."""
    merged: dict[str, Any] = {}
    for sampler in samplers:
        with plugin_errors(sampler, "parameters"):
            parameters = sampler.parameters
        if parameters is None or set(parameters) & set(merged):
            return None
        merged |= parameters
    in_order = [name for name in SamplingParameters._fields if name in merged]
    return SamplingParameters(**merged) if list(merged) == in_order else None


class LogitMaxima:
    """The maximum of the logits at each position of a window, kept on the device.

    It is NaN or +inf if any logit is, and -inf if all are: then no token can be drawn.
    """

    def __init__(self, batch: int, length: int, device: torch.device) -> None:
        self.maxima = torch.zeros(batch, length, device=device)

    def record(self, position: int, logits: Tensor) -> None:
        self.maxima[:, position] = logits.amax(dim=-1)

    def first_invalid(self, end: int) -> int | None:
        """The first position before `end` where no token could be drawn. Waits for the device."""
        invalid = (~self.maxima[:, :end].isfinite()).any(dim=0).nonzero()
        return int(invalid[0]) if len(invalid) else None


def raise_for_invalid_logits(
    samplers: Sequence[Sampler],
    guidance_samplers: Sequence[GuidanceSampler],
    logits: Tensor,
    history: Tensor,
    places: Sequence[str],
) -> None:
    """Raise an error that names the cause of invalid logits at a position: the prior, or the first
    sampler that returned such logits. Arguments as for `apply_samplers`.

    places: names what is sampled there of each item, such as `token 5 of item 0 at level 2`.
    """
    if problem := _problem(logits, places):
        hint = (
            "its weights are damaged, or its training diverged: restore them, "
            "or train the prior again"
        )
        raise InputError(f"the prior returned logits with {problem}", hint)
    for sampler, method, result in _sampler_results(samplers, guidance_samplers, logits, history):
        if problem := _problem(result, places):
            raise method_error(sampler, method, f"returned logits with {problem}")
    names = ", ".join(sampler.name for sampler in samplers)
    message = f"samplers ({names}) returned invalid logits, but valid ones when called again"
    message += f", for {places[0]}"
    raise InputError(message, "a sampler must depend on its arguments only; leave one out to see")


def _problem(logits: Tensor, places: Sequence[str]) -> str | None:
    """Why no token can be drawn from logits, and where; None if one can."""
    problems = {
        "NaN": logits.isnan().any(dim=-1),
        "+inf": logits.isposinf().any(dim=-1),
        "nothing but -inf": logits.isneginf().all(dim=-1),
    }
    for problem, rows in problems.items():
        if rows.any():
            return f"{problem} for {places[int(rows.nonzero()[0]) % len(places)]}"
    return None
