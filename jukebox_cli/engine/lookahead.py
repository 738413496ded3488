"""The choice of how many positions of one item are computed per pass (exact parallel decoding).

A pass over a few positions of a large prior costs little more than one over a single position,
because it reads the same weights. Whether it pays depends on how often guesses are right, which is
the model's and the music's, and on the CPU. The tokens are the same to the bit, so the choice may
be made by the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

#: Positions per pass that are tried. A pass over more costs more than is guessed right of them: see
#: benchmarks/exact_decoding.py.
CHOICES = (4, 2, 1)
#: After so many measurements all choices are tried again.
RETRY = 64


class Lookahead:
    """Chooses the number of positions per pass with which the last measurement was fastest."""

    def __init__(
        self, choices: Sequence[int] = CHOICES, clock: Callable[[], float] = perf_counter
    ) -> None:
        self.choices, self.clock = choices, clock
        self.seconds: dict[int, float] = {}  # per token
        self.count = 0

    @property
    def choice(self) -> int:
        """One that was not tried yet, else the fastest."""
        untried = [choice for choice in self.choices if choice not in self.seconds]
        return untried[0] if untried else min(self.choices, key=lambda n: self.seconds[n])

    @contextmanager
    def measure(self, num_tokens: int) -> Iterator[int]:
        """Yields the choice with which to sample so many tokens, and measures how long it takes."""
        choice, start = self.choice, self.clock()
        yield choice
        self.seconds[choice] = (self.clock() - start) / num_tokens
        self.count += 1
        if self.count % RETRY == 0:
            self.seconds.clear()
