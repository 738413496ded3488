"""Tokens in memory, from the thread that samples them to those that wait for them.

Levels that are sampled in threads of one process, and the decoder that follows the lowest, need not
wait until tokens are written to the run: they get them a few positions after they were sampled.
"""

from __future__ import annotations

from threading import Condition
from typing import TYPE_CHECKING

from jukebox_cli.storage.run import Run

if TYPE_CHECKING:
    import numpy as np

#: Seconds after which a wait looks up: where a lock can't be interrupted by Ctrl-C, between waits.
LOOK_UP_SECONDS = 0.2


class SamplingStopped(Exception):
    """The tokens that were waited for will not be sampled: a thread failed or was stopped."""


class LiveTokens:
    """The tokens of each level and item as far as they are sampled. Used by several threads.

    Only for tokens that will not change any more, so not for those of a prior with a prefix: these
    may hold characters until their window is complete.
    """

    def __init__(self, run: Run) -> None:
        self.run = Run(run.path)  # whose record of files is of one thread at a time: who has `news`
        self.news = Condition()
        self.known: dict[tuple[int, int], np.ndarray] = {}
        self.is_stopped = False

    def publish(self, level: int, item: int, tokens: np.ndarray) -> None:
        """Tells what tokens (T,) an item has so far. They are not copied and must stay as they
        are."""
        with self.news:
            self.known[level, item] = tokens
            self.news.notify_all()

    def wait_for(self, level: int, item: int, count: int) -> np.ndarray:
        """The tokens (T,) of an item at a level, as soon as there are at least `count`.

        Raises SamplingStopped if there will not be.
        """
        with self.news:
            while (tokens := self._known_tokens(level, item)) is None or len(tokens) < count:
                if self.is_stopped:
                    raise SamplingStopped
                self.news.wait(LOOK_UP_SECONDS)
            return tokens

    def stop(self) -> None:
        """Ends every wait for tokens that are not there."""
        with self.news:
            self.is_stopped = True
            self.news.notify_all()

    def _known_tokens(self, level: int, item: int) -> np.ndarray | None:
        """What was published, or else what is on disk: no thread samples a complete level."""
        if (level, item) not in self.known:
            tokens = self.run.read_tokens(level, item)
            if tokens is None:
                return None
            self.known[level, item] = tokens
        return self.known[level, item]
