"""The windows that a level is sampled in, and which tokens of each are its prompt.

Windows overlap, so that each but the first has the end of the one before as its prompt
(Dhariwal et al. 2020, "Windowed Sampling").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from jukebox_cli.config.token_grid import TokenGrid
from jukebox_cli.storage.segments import ItemSpec, Segment


class TokenWindow(NamedTuple):
    """A window of a level, in tokens from the beginning of the item, or of a slice of it."""

    start: int
    sample_from: int  # the first token to sample; those before it are the prompt
    end: int  # after the last token to sample

    def moved(self, by: int) -> TokenWindow:
        """The window so many tokens later."""
        return TokenWindow(self.start + by, self.sample_from + by, self.end + by)


def token_windows(
    total: int, context_length: int, hop_fraction: float, primed: int = 0, multiple_of: int = 1
) -> list[TokenWindow]:
    """The windows that sample tokens `primed` to `total` of a level.

    The last window is moved back to end with the item. An item shorter than a window is one window,
    sampled to its end. Windows start at multiples of `multiple_of`, the tokens per token of the
    level above, of which `total` and `context_length` are multiples too.
    """
    step = max(1, round(context_length * hop_fraction / multiple_of)) * multiple_of
    windows = []
    known = primed
    for at in range(0, max(1, total - context_length + step), step):
        start = max(0, min(at, total - context_length))
        end = min(start + context_length, total)
        if end > known:
            windows.append(TokenWindow(start, known, end))
            known = end
    return windows


#: As `token_windows`. A long item has thousands, which are looked up again and again.
_cached_windows = lru_cache(maxsize=64)(lambda *arguments: tuple(token_windows(*arguments)))


@dataclass(frozen=True)
class SegmentWindows:
    """What is sampled of a segment at one level."""

    segment: Segment
    number: int  # of the segment
    num_samples: int  # length of the item as far as this segment
    first: int  # the segment's first token
    end: int  # after its last token
    total: int  # tokens of the item as far as this segment, its last partial token included
    windows: tuple[TokenWindow, ...]


def segment_windows(
    spec: ItemSpec, level: int, grid: TokenGrid, context_length: int
) -> list[SegmentWindows]:
    """The windows of each segment of an item that is sampled, in order.

    A segment is sampled as if the item ended with it, so that its tokens are the same whether later
    segments are known by then or not. It ends with the last whole token of the top level: the
    token after it, partly of silence, belongs to the next segment.
    """
    found = []
    for number, (segment, end_sample) in enumerate(spec.spans()):
        first = grid.num_whole_tokens(level, segment.first_sample) if number else 0
        total = grid.num_tokens(level, end_sample)
        is_last = number == len(spec.segments) - 1
        end = total if is_last else grid.num_whole_tokens(level, end_sample)
        fraction, ratio = segment.hop_fraction[level], grid.ratio(level)
        windows = _cached_windows(total, context_length, fraction, first, ratio)
        if segment.prompt is None:
            clipped = windows if total <= end else tuple(_clip(windows, end))
            found.append(SegmentWindows(segment, number, end_sample, first, end, total, clipped))
    return found


def _clip(windows: Sequence[TokenWindow], end: int) -> Iterator[TokenWindow]:
    """The windows that sample tokens before `end`, up to there."""
    for window in windows:
        if window.sample_from < end:
            yield window._replace(end=min(window.end, end))
