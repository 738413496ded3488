"""What the commands do to a run: fill in the tokens of its levels, then its audio.

Every stage looks at what is there, does what is missing, and leaves the rest alone. That is all
there is to resuming.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jukebox_cli.interfaces.conditioner import Song, Window
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.windows import Stretch, windows
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Asked, Run, RunConfig

if TYPE_CHECKING:
    pass


#: Is told how many more are done.
Tick = Callable[[int], None]


#: Something that counts up while a stage works, given what, how many are done and how many there
#: are: see `cli` for the one with colours.
Bar = Callable[[str, int, int], Tick]


def silent(what: str, done: int, total: int) -> Tick:
    """The bar that shows nothing."""
    return lambda count: None


@dataclass(frozen=True)
class Job:
    """A run being worked on."""

    run: Run
    model: Model
    registry: Registry
    items: Sequence[int]
    config: RunConfig
    asked: Asked
    device: str = "auto"
    precision: str = "auto"
    batch: int = 16
    bar: Bar = silent
    #: called again and again while the level above is drawn by another; None: it must be whole
    wait: Callable[[], None] | None = None

    @property
    def top(self) -> int:
        return self.model.config.vqvae.levels - 1

    def samples(self, item: int) -> int:
        return self.asked.of(item)[0]

    def song(self, item: int) -> Song:
        return self.asked.of(item)[1]

    def total(self, level: int, item: int) -> int:
        """Tokens that an item has at a level when it is whole."""
        hops = self.model.config.vqvae.hops
        return -(-self.samples(item) // hops[-1]) * (hops[-1] // hops[level])

    def have(self, level: int, item: int) -> int:
        tokens = self.run.read_tokens(level, item)
        return 0 if tokens is None else len(tokens.tokens)

    def lacks(self, level: int) -> list[int]:
        """The items whose tokens of a level are not all there."""
        return [i for i in self.items if self.have(level, i) < self.total(level, i)]

    def stretches(self, level: int, item: int, given: int) -> list[Stretch]:
        config, hops = self.model.config, self.model.config.vqvae.hops
        ratio = hops[level + 1] // hops[level] if level < self.top else 1
        hop = self.config.hop[level]
        return windows(self.total(level, item), config.priors[level].frames, hop, given, ratio)

    def event(self, kind: str, **what: Any) -> None:
        event = {"time": round(time.time(), 3), "event": kind, **what}
        self.run.log(event)
        self.registry.manager.hook.jukebox_event(run=self.run.path, event=event)


def window_of(job: Job, level: int, item: int, stretch: Stretch) -> Window:
    """A stretch of tokens as the samples that its conditioners are told of."""
    hop, frames = job.model.config.vqvae.hops[level], job.model.config.priors[level].frames
    return Window(stretch.start * hop, frames * hop, job.samples(item))
