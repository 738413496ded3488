"""Which windows a level is sampled in, and which part of each is already known.

Windows overlap so that each but the first is primed with the end of the one before
(paper, section 5.2); `hop` is how far a window moves, as a fraction of its length.
"""

from __future__ import annotations

from typing import NamedTuple


class TokenWindow(NamedTuple):
    """One window of a level, in tokens from the song's beginning."""

    start: int  # of the window
    sample_from: int  # the first token to draw; those before it are known when the window begins
    end: int  # after the last token to draw


def token_windows(
    total: int, context_length: int, hop_fraction: float, primed: int = 0, multiple_of: int = 1
) -> list[TokenWindow]:
    """The windows that draw tokens `given` .. `total` of a level.

    The last one is moved back so that it ends with the song. A song shorter than a window is one
    window, drawn as far as it goes. Windows begin at multiples of `unit`, the tokens per token of
    the level above, of which `total` and `frames` are multiples too.
    """
    step = max(1, round(context_length * hop_fraction / multiple_of)) * multiple_of
    starts = range(0, max(1, total - context_length + step), step)
    stretches = []
    known = primed
    for start in starts:
        start = max(0, min(start, total - context_length))
        end = min(start + context_length, total)
        if end > known:
            stretches.append(TokenWindow(start, known, end))
            known = end
    return [s for s in stretches if s.sample_from < s.end]
