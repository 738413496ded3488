"""How long a window takes: its conditions, its prompt, and each position that is sampled.

Imports torch: import it inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from statistics import median
from time import perf_counter

import numpy as np
import torch

from jukebox_cli.engine.machine import synchronize
from jukebox_cli.model.conditioning import Conditioning, stack_conditionings
from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    WindowConditioner,
    WindowSampler,
)
from jukebox_cli.sampling.windows import TokenWindow

#: Conditions that took longer than this, in seconds, are not computed again.
SLOW = 0.5


class RepeatedConditions:
    """The conditions of one item, for batches of such items. A `sampler.WindowConditioner`.

    parts: the conditions of the item, and with guidance those without any; each with a batch of 1.
    """

    def __init__(self, parts: Sequence[WindowConditioner], device: torch.device) -> None:
        self.parts, self.device = parts, device
        self.single: list[Conditioning] = []
        self.seconds = 0.0  # that the conditions of an item take
        self.stacked: Conditioning | None = None

    def prepare(self, batch: int, window: TokenWindow) -> None:
        """Computes the conditions for a batch. All windows begin at 0."""
        if not self.single:
            self._compute(window)
            if self.seconds < SLOW:  # the first time includes what is done once in a process
                self._compute(window)
        self.stacked = None
        self.stacked = stack_conditionings([each for each in self.single for _ in range(batch)])

    def _compute(self, window: TokenWindow) -> None:
        start = perf_counter()
        self.single = [each.conditioning(window) for each in self.parts]
        synchronize(self.device)
        self.seconds = perf_counter() - start

    def conditioning(self, window: TokenWindow) -> Conditioning:
        assert self.stacked is not None
        return self.stacked


class WindowTimer:
    """Opens windows of a level and samples them, with a clock."""

    def __init__(self, sampler: LevelSampler, conditions: RepeatedConditions) -> None:
        self.sampler, self.conditions = sampler, conditions
        self.device = sampler.prior.position_embedding.device

    def open(self, batch: int, window: TokenWindow) -> tuple[WindowSampler, float]:
        """A window of random tokens after its prompt, and the seconds that prefilling takes."""
        rng = np.random.default_rng(0)
        vocab_size, length = self.sampler.prior.codebook_size, window.end
        items = [
            PartialTokens(item, 0, rng.integers(vocab_size, size=length), window.sample_from)
            for item in range(batch)
        ]
        self.conditions.prepare(batch, window)
        synchronize(self.device)
        start = perf_counter()
        opened = WindowSampler(self.sampler, items, window, self.conditions)
        synchronize(self.device)
        return opened, perf_counter() - start

    def sample(self, window: WindowSampler, every: int, seconds: float) -> float:
        """Seconds per position, of the median of rounds of `every` positions, all but the first;
        for about `seconds`, or as far as three rounds take."""
        rounds: list[float] = []
        begun = start = perf_counter()

        def count(num_tokens: int) -> None:
            nonlocal start
            synchronize(self.device)
            now = perf_counter()
            rounds.append((now - start) * len(window.batch) / num_tokens)
            start = now
            if len(rounds) > 2 and now - begun > seconds:
                raise _Measured

        with suppress(_Measured):
            window.run(ProgressCallbacks(count, every=every))
        return median(rounds[1:] or rounds)


class _Measured(Exception):
    """Enough is sampled."""
