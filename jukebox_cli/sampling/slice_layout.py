"""Where the slices of a level lie that are sampled at the same time.

    slice 0  |---------------------|
    slice 1                 |......~~~-------------|
    slice 2                                 |......~~~-------------|

Slices have one length, so that their windows are alike and can be rows of one batch. Each but the
first begins with a warm-up (dots), whose tokens are its left context and are not kept: the slice
before has them too. The tokens at a seam (~) are sampled again, with the end of the slice before as
their prompt. The same random numbers tend to lead back to the tokens that were there: the slice
goes on where that lasts longest.
"""

from __future__ import annotations

from dataclasses import dataclass

from jukebox_cli.sampling.windows import TokenWindow, token_windows
from jukebox_cli.storage.segments import SlicePlan

#: Length of the warm-up, as a fraction of a window. With the usual hop fraction of 0.5 a token has
#: from half a window to a whole one before it; after half a window of warm-up that is so too.
WARMUP = 1 / 2
#: Length of a seam, as a fraction of a window: 0.37 s at level 0 of the published models.
SEAM = 1 / 16


@dataclass(frozen=True)
class SliceLayout:
    """The slices of a segment at a level, in tokens from the beginning of the item."""

    plan: SlicePlan
    total: int  # after the last slice

    @property
    def step(self) -> int:
        """Tokens from the beginning of a slice to that of the next."""
        return (self.total - self.plan.start - self.plan.warmup) // self.plan.count

    @property
    def length(self) -> int:
        """Tokens of a slice."""
        return self.step + self.plan.warmup

    def start(self, number: int) -> int:
        """The first token of a slice, in its warm-up."""
        return self.plan.start + number * self.step

    def boundary(self, number: int) -> int:
        """The first token that is kept of a slice other than the first."""
        return self.start(number) + self.plan.warmup

    def windows(self, context_length: int, hop_fraction: float, ratio: int) -> list[TokenWindow]:
        """The windows of every slice, in tokens from its beginning. `ratio` is as `multiple_of` for
        `token_windows`."""
        return token_windows(self.length, context_length, hop_fraction, 0, ratio)

    def seam_window(self, context_length: int) -> TokenWindow:
        """The window of every seam, in tokens from the beginning of the slice after it."""
        end = self.plan.warmup + self.plan.seam
        return TokenWindow(max(0, end - context_length), self.plan.warmup, end)

    def num_draws(self, first: int) -> int:
        """Tokens that are sampled in all, if those before `first` are known."""
        plan = self.plan
        return plan.count * self.length - (first - plan.start) + (plan.count - 1) * plan.seam


def plan_slices(
    count: int, first: int, total: int, context_length: int, ratio: int
) -> SlicePlan | None:
    """Up to `count` slices of the tokens `first` to `total` of a level, as many as keep a window or
    more each; None if that is one.

    `ratio`: tokens per token of the level above, of which all numbers are multiples.
    """
    warmup = max(1, round(WARMUP * context_length / ratio)) * ratio
    seam = max(1, round(SEAM * context_length / ratio)) * ratio
    start = max(0, first - warmup)
    rest = total - start - warmup
    count = min(count, rest // context_length)
    if count < 2:
        return None
    step = rest // (count * ratio) * ratio
    return SlicePlan(count, start, total - start - count * step, seam)
