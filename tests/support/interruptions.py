"""Conditions that depend on the window, and callbacks that interrupt sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.sampling.sampler import (
    PartialTokens,
    ProgressCallbacks,
)
from jukebox_cli.sampling.windows import TokenWindow

#: Tokens of a window and of an item.
CONTEXT_LENGTH, TOTAL = 16, 44


@dataclass(frozen=True)
class Conditions:
    """Conditions as a function of the window."""

    function: Callable[[TokenWindow], Conditioning]

    def conditioning(self, window: TokenWindow) -> Conditioning:
        return self.function(window)


@dataclass
class Interruption:
    """Callbacks that interrupt at the n-th report of new tokens, counted from 1."""

    at: int | None = None
    reports: int = 0
    saved: list[list[PartialTokens]] = field(default_factory=list)
    working: Sequence[PartialTokens] = ()

    def callbacks(
        self, working: Sequence[PartialTokens], seconds: float = 1e9, every: int = 1
    ) -> ProgressCallbacks:
        self.working = working
        return ProgressCallbacks(self.advance, self.save, None, seconds, every)

    def advance(self, count: int) -> None:
        self.reports += count > 0
        if count and self.reports == self.at:
            raise KeyboardInterrupt

    def save(self) -> None:
        self.saved.append([replace(d, tokens=d.tokens.copy()) for d in self.working])
