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
from jukebox_cli.sampling.windows import TokenWindow, token_windows
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import ItemSpecs, Run, RunConfig

if TYPE_CHECKING:
    pass


#: Is told how many more are done.
Advance = Callable[[int], None]


#: Something that counts up while a stage works, given what, how many are done and how many there
#: are: see `cli` for the one with colours.
StartProgress = Callable[[str, int, int], Advance]


def no_progress(what: str, done: int, total: int) -> Advance:
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
    specs: ItemSpecs
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 16
    progress: StartProgress = no_progress
    #: called again and again while the level above is drawn by another; None: it must be whole
    wait_for_upper: Callable[[], None] | None = None

    @property
    def top_level(self) -> int:
        return self.model.config.vqvae.num_levels - 1

    def num_samples(self, item: int) -> int:
        return self.specs.for_item(item)[0]

    def song(self, item: int) -> Song:
        return self.specs.for_item(item)[1]

    def num_tokens(self, level: int, item: int) -> int:
        """Tokens that an item has at a level when it is whole."""
        hops = self.model.config.vqvae.hop_lengths
        return -(-self.num_samples(item) // hops[-1]) * (hops[-1] // hops[level])

    def num_sampled_tokens(self, level: int, item: int) -> int:
        tokens = self.run.read_tokens(level, item)
        return 0 if tokens is None else len(tokens.tokens)

    def incomplete_items(self, level: int) -> list[int]:
        """The items whose tokens of a level are not all there."""
        return [
            i for i in self.items if self.num_sampled_tokens(level, i) < self.num_tokens(level, i)
        ]

    def token_windows(self, level: int, item: int, given: int) -> list[TokenWindow]:
        config, hops = self.model.config, self.model.config.vqvae.hop_lengths
        ratio = hops[level + 1] // hops[level] if level < self.top_level else 1
        hop = self.config.hop_fraction[level]
        return token_windows(
            self.num_tokens(level, item), config.priors[level].context_length, hop, given, ratio
        )

    def log_event(self, kind: str, **what: Any) -> None:
        event = {"time": round(time.time(), 3), "event": kind, **what}
        self.run.log(event)
        self.registry.notify(self.run.path, event)


def audio_window(job: Job, level: int, item: int, stretch: TokenWindow) -> Window:
    """A stretch of tokens as the samples that its conditioners are told of."""
    hop, frames = (
        job.model.config.vqvae.hop_lengths[level],
        job.model.config.priors[level].context_length,
    )
    return Window(stretch.start * hop, frames * hop, job.num_samples(item))
