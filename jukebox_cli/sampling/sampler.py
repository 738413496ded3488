"""Sampling a level: window after window, token after token (Dhariwal et al. 2020, "Sampling").

Everything that is computed is a function of the item alone: no sum mixes items, prompts are
prefilled item by item, and a window that was left half sampled goes on as if it had not been. So
on one machine an item comes out the same to the bit, whatever it is batched with and however often
it was stopped.

Shapes: B batch, T tokens of a window, P tokens of its prompt, K codes and characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.engine.engines import Engine, EngineWindow, SamplingWindow, TorchEngine
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler, SamplingParameters
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.prior import Prior
from jukebox_cli.sampling.rng import draw_tokens, uniform_numbers
from jukebox_cli.sampling.sampler_calls import (
    LogitMaxima,
    apply_samplers,
    fuse_samplers,
    raise_for_invalid_logits,
)
from jukebox_cli.sampling.windows import TokenWindow


class WindowConditioner(Protocol):
    """The conditions of a batch, window by window."""

    def conditioning(self, window: TokenWindow) -> Conditioning:
        """The conditions in a window. With guidance the batch is there twice: first with the songs'
        conditions, then without any. Called once per window, before its first token."""


@dataclass
class PartialTokens:
    """The tokens of one item at one level, of which the first `num_done` are known; or those of a
    slice of it, which begins at token `first`. Windows count from there."""

    item: int
    seed: int
    tokens: np.ndarray  # int64 (total,)
    num_done: int
    first: int = 0


@dataclass(frozen=True)
class LevelSampler:
    """What samples a level: its prior, the samplers that shape the distribution, and the engine
    that computes positions, by default with torch."""

    level: int
    prior: Prior
    samplers: Sequence[Sampler]
    chosen_engine: Engine | None = None  # None: torch

    @cached_property
    def engine(self) -> Engine:
        return self.chosen_engine or TorchEngine(self.prior)

    @cached_property
    def fused_parameters(self) -> SamplingParameters | None:
        """What the samplers do, if a `SamplingWindow` does it in the same order."""
        return fuse_samplers(self.samplers)

    @cached_property
    def guidance_samplers(self) -> list[GuidanceSampler]:
        """The samplers that need unconditional logits (classifier-free guidance)."""
        return [
            s for s in self.samplers if isinstance(s, GuidanceSampler) and s.needs_unconditional
        ]

    def num_rows(self, batch: int) -> int:
        """Rows of the conditions of a batch: with guidance there are unconditional ones too."""
        return 2 * batch if self.guidance_samplers else batch

    def shape_logits(self, logits: Tensor, history: Tensor) -> Tensor:
        """The logits (B, K) that a token is drawn from: those of the prior, (B, K) or with guidance
        (2B, K), after all samplers. `history` are the tokens (B, t) before it in the window."""
        return apply_samplers(self.samplers, self.guidance_samplers, logits, history)


@dataclass(frozen=True)
class ProgressCallbacks:
    """`on_tokens(n)` after `every` positions, then `publish()` if others wait for the tokens, and
    `save()` at most once per `save_interval`."""

    on_tokens: Callable[[int], None] = lambda _: None
    save: Callable[[], None] = lambda: None
    publish: Callable[[], None] | None = None
    save_interval: float = 5.0  # seconds
    every: int = 32  # positions between looks at the clock


@torch.inference_mode()
def sample_windows(
    level: LevelSampler,
    batch: Sequence[PartialTokens],
    windows: Sequence[TokenWindow],
    conditioner: WindowConditioner,
    callbacks: ProgressCallbacks,
) -> None:
    """Samples what the items (or slices) of a batch, of equal length, lack of some windows.

    Saves after each window and now and then within one. However it is interrupted, `batch` then
    holds all that was sampled; saving that is up to the caller.
    """
    for window in windows:
        if any(item.num_done < window.end for item in batch):
            WindowSampler(level, batch, window, conditioner).run(callbacks)
            callbacks.save()


class WindowSampler:
    """One window of a batch, sampled position by position. Positions count from its start."""

    def __init__(
        self,
        level: LevelSampler,
        batch: Sequence[PartialTokens],
        window: TokenWindow,
        conditioner: WindowConditioner,
    ) -> None:
        self.level, self.batch, self.window = level, batch, window
        self.length, self.num_primed = window.end - window.start, window.sample_from - window.start
        device = level.prior.position_embedding.device
        #: for each item, where sampling goes on: what is known before is replayed
        self.resume_at = [max(self.num_primed, self._num_known(item)) for item in batch]
        self.limits = torch.tensor(self.resume_at, device=device)  # (B,)
        known = np.stack([item.tokens[window.start : window.end] for item in batch])
        self.tokens = torch.from_numpy(known).to(device)  # (B, T)
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.uniform = _uniform_numbers(level.level, batch, window).to(device, dtype)  # (B, T - P)
        self.steps = level.engine.open_window(
            conditioner.conditioning(window),
            self.tokens,
            level.num_rows(len(batch)),
            self.num_primed,
            min(self.resume_at),
        )
        #: the window, if it draws tokens itself, and what it does instead of the samplers
        self.drawing = _drawing_window(level, self.steps)
        self.maxima = LogitMaxima(len(batch), self.length - self.num_primed, device)

    def run(self, callbacks: ProgressCallbacks) -> None:
        """Samples the window to its end, or as far as it gets before an exception."""
        position = reported = self.steps.next_position
        saved_at = monotonic()
        try:
            while position < self.length:
                end = min(position + callbacks.every - position % callbacks.every, self.length)
                while position < end:
                    position = self._sample(position, end)
                callbacks.on_tokens(self._num_new(reported, position))
                reported = position
                if callbacks.publish:
                    self._store(position)
                    callbacks.publish()
                if monotonic() - saved_at > callbacks.save_interval:
                    self._store(position)
                    callbacks.save()
                    saved_at = monotonic()
        finally:
            self._store(position)

    def _sample(self, position: int, end: int) -> int:
        """Samples from one position on, for the items that lack it. Returns the position reached:
        `end` if the engine samples, else the next one."""
        if self.drawing is None:
            self._sample_position(position)
            return position + 1
        window, parameters = self.drawing
        uniform = self.uniform[:, position - self.num_primed : end - self.num_primed]
        reached = window.sample(position, end, self.limits, uniform, parameters)
        if reached < end:
            self._raise_for_invalid_logits(reached)
        return reached

    def _sample_position(self, position: int) -> None:
        """Computes one position, and samples its token for the items that lack it."""
        logits = self.steps.logits(position)
        if position < min(self.resume_at):  # only a replay, to fill the caches
            return
        logits = self.level.shape_logits(logits, self.tokens[:, :position])
        self.maxima.record(position - self.num_primed, logits)
        sampled = draw_tokens(logits, self.uniform[:, position - self.num_primed])
        known = position < self.limits
        self.tokens[:, position] = torch.where(known, self.tokens[:, position], sampled)

    def _require_valid_logits(self, end: int) -> None:
        """Raises an error about what made the logits of a position before `end` invalid, if any
        were."""
        invalid = self.maxima.first_invalid(end - self.num_primed)
        if invalid is not None:
            self._raise_for_invalid_logits(self.num_primed + invalid)

    def _raise_for_invalid_logits(self, position: int) -> None:
        logits, history = self.steps.logits(position), self.tokens[:, :position]
        level = self.level
        number = self.window.start + position
        places = [
            f"token {item.first + number:,} of item {item.item} at level {level.level}"
            for item in self.batch
        ]
        raise_for_invalid_logits(level.samplers, level.guidance_samplers, logits, history, places)

    def _num_known(self, item: PartialTokens) -> int:
        return min(item.num_done, self.window.end) - self.window.start

    def _num_new(self, start: int, end: int) -> int:
        """Tokens of all items that were sampled at positions `start` to `end`."""
        return sum(end - max(start, min(end, first)) for first in self.resume_at)

    def _store(self, end: int) -> None:
        """Copies the tokens before position `end` to the items.

        A prior with a prefix may sample one of the prefix's characters, which has no sound. It
        stays while its window is incomplete, and then becomes token 0.
        """
        self._require_valid_logits(end)
        sampled = self.tokens[:, :end].cpu().numpy()
        if end == self.length:
            sampled = np.where(sampled < self.level.prior.codebook_size, sampled, 0)
        start, stop = self.window.start, self.window.start + end
        for item, tokens in zip(self.batch, sampled, strict=True):
            if item.num_done < stop:
                item.tokens[start:stop] = tokens
                item.num_done = stop


def _drawing_window(
    level: LevelSampler, window: EngineWindow
) -> tuple[SamplingWindow, SamplingParameters] | None:
    """A window that can do what the samplers do, with what that is; else None."""
    if not isinstance(window, SamplingWindow) or level.fused_parameters is None:
        return None
    return window, level.fused_parameters


def _uniform_numbers(level: int, batch: Sequence[PartialTokens], window: TokenWindow) -> Tensor:
    """The uniform numbers of the positions that a window samples: float64 (B, T - P)."""
    numbers = [
        uniform_numbers(item.seed, item.item, level, *window.moved(item.first)[1:])
        for item in batch
    ]
    return torch.from_numpy(np.stack(numbers).astype(np.float64))
