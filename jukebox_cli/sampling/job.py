"""A job: a run that a command works on, and how to work on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jukebox_cli.config.token_grid import TokenGrid
from jukebox_cli.interfaces.command_options import option_flag
from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.contract import blocked_plugins
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.live_tokens import LiveTokens
from jukebox_cli.sampling.row_limit import RowLimit
from jukebox_cli.sampling.shard import Shard
from jukebox_cli.sampling.windows import (
    SegmentWindows,
    TokenWindow,
    segment_windows,
    token_windows,
)
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Segment

#: Moves a progress bar on by so many steps.
Advance = Callable[[int], None]
#: Starts a progress bar: description, steps done, steps in all. See `cli.console.progress`.
StartProgress = Callable[[str, int, int], Advance]


def no_progress(description: str, done: int, total: int) -> Advance:
    """A progress bar that shows nothing."""
    return lambda count: None


@dataclass(frozen=True)
class Job:
    """Some items of a run that are sampled and decoded, and how that is computed.

    specs: what was asked for of each item, also of those that are not on disk yet.
    parallel: how many slices of an item are sampled at the same time at each level below the top;
        None keeps what a run has recorded, and else samples from beginning to end.
    shard: this command's share of every item, where others work on them too; None: it does all.
    item_threads: among how many threads the items of a batch are shared out; None: all cores.
    wait_for_upper: called again and again while another process samples the level above.
    live_tokens: where threads of this process that sample other levels leave and find tokens.
        With neither, the level above must be complete.
    row_limits: what was learned of the memory that rows of each level take.
    """

    run: Run
    model: Model
    registry: Registry
    items: Sequence[int]
    config: RunConfig
    specs: Mapping[int, ItemSpec]
    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    batch_size: int = 16
    parallel: int | Literal["auto"] | None = None
    shard: Shard | None = None
    item_threads: int | None = None
    progress: StartProgress = no_progress
    wait_for_upper: Callable[[], None] | None = None
    live_tokens: LiveTokens | None = None
    row_limits: dict[int, RowLimit] = field(default_factory=dict, compare=False)

    def row_limit(self, level: int) -> RowLimit:
        """How many rows of a level are sampled side by side at most."""
        return self.row_limits.setdefault(level, RowLimit(level))

    @property
    def grid(self) -> TokenGrid:
        return self.model.config.vqvae.token_grid

    @property
    def top_level(self) -> int:
        return self.grid.top_level

    @property
    def is_begun_with_others(self) -> bool:
        """Whether other commands may record plans in the items' files just now, so that tokens on
        disk and `specs` need not agree. `shard_plan.begin_shared` looks at both in turn."""
        return self.shard is not None and self.run.exists

    @property
    def prior_levels(self) -> range:
        """The levels that the model has a prior for."""
        return range(len(self.model.config.priors))

    def incomplete_levels(self, until: str = "audio") -> list[int]:
        """The levels that lack tokens, from the top, as far down as `until` (top, tokens, audio)
        needs them."""
        levels = range(self.top_level, self.lowest_level(until) - 1, -1)
        return [level for level in levels if self.incomplete_items(level)]

    def lowest_level(self, until: str) -> int:
        """The lowest level that `until` (top, tokens, audio) needs."""
        return self.top_level if until == "top" else 0

    def write_specs(self, specs: Mapping[int, ItemSpec]) -> Job:
        """The job with other `specs`. Writes the files of the items that change."""
        for item in self.items:
            if specs[item] != self.specs[item] and self.run.has_item(item):
                self.run.write_item(item, specs[item])
        return replace(self, specs=specs)

    def num_samples(self, item: int) -> int:
        """The length of an item's audio."""
        return self.specs[item].num_samples

    def song(self, item: int) -> Song:
        """The conditions of an item: those of its last segment."""
        return self.specs[item].conditions

    def seed(self, item: int) -> int:
        """The seed of an item's last segment."""
        return self.specs[item].segments[-1].seed

    def num_tokens(self, level: int, item: int) -> int:
        """Tokens that an item has at a level when it is complete."""
        return self.grid.num_tokens(level, self.num_samples(item))

    def num_sampled_tokens(self, level: int, item: int) -> int:
        """Tokens that an item has at a level so far, those of a prompt included."""
        return self.run.num_tokens(level, item)

    def incomplete_items(self, level: int) -> list[int]:
        """The items whose tokens of a level are not all there."""
        return [i for i in self.items if self.num_missing_tokens(level, i)]

    def is_complete(self, item: int, until: str) -> bool:
        """Whether an item is made as far as `until` (top, tokens, audio)."""
        if replace(self, items=[item]).incomplete_levels(until):
            return False
        return until != "audio" or self.run.has_audio(item, 0)

    def num_missing_tokens(self, level: int, item: int) -> int:
        return max(0, self.num_tokens(level, item) - self.num_sampled_tokens(level, item))

    def token_windows(self, level: int, item: int) -> list[TokenWindow]:
        """The windows of a whole item, as if all of it were sampled as its last segment is."""
        context_length = self.model.config.priors[level].context_length
        fraction = self.specs[item].segments[-1].hop_fraction[level]
        total, ratio = self.num_tokens(level, item), self.grid.ratio(level)
        return token_windows(total, context_length, fraction, 0, ratio)

    def segment_windows(self, level: int, item: int) -> list[SegmentWindows]:
        """The windows that an item's segments are sampled in."""
        context_length = self.model.config.priors[level].context_length
        return segment_windows(self.specs[item], level, self.grid, context_length)

    def missing_parts(self, level: int, item: int) -> list[SegmentWindows]:
        """The segments of an item that are not complete at a level."""
        num_sampled = self.num_sampled_tokens(level, item)
        return [part for part in self.segment_windows(level, item) if part.end > num_sampled]

    def make_samplers(self, level: int, segment: Segment) -> list[Sampler]:
        """The samplers of a segment at a level. Raises InputError if one is not installed."""
        options = segment.sampling[level]
        missing = [name for name in options if name not in self.registry.sampling_options]
        if missing:
            what = f"{self.run.path} is sampled with {option_flag(missing[0])}"
            raise InputError(f"{what}, which no installed plugin has", self._missing_plugin_hint())
        return self.registry.make_samplers(options)

    def _missing_plugin_hint(self) -> str:
        """What to install, of what the run was made with."""
        versions, installed = self.config.versions, self.registry.versions
        missing = [p for p in versions if p not in installed and p != "jukebox"]
        packages = " or ".join(f"{package} {versions[package]}" for package in missing)
        hint = f"install {packages or 'the plugin that has it'}, which the run was made with"
        blocked = ", ".join(sorted(blocked_plugins()))
        return f"{hint}; JUKEBOX_BLOCK switches off {blocked}" if blocked else hint

    def is_begun(self, level: int, item: int, part: SegmentWindows) -> bool:
        """Whether any tokens of a segment are sampled at a level, maybe only in slices, or other
        commands may just be beginning it."""
        is_sampled = part.first < self.num_sampled_tokens(level, item)
        is_shared = part.segment.is_shared(level)
        return is_sampled or is_shared or self.run.slice_files(level, item, part.number).exist()

    def log_event(self, kind: str, **details: Any) -> None:
        """Writes a line into the run's log, and passes it to plugins."""
        event = {"time": round(time.time(), 3), "event": kind, **details}
        self.run.log(event)
        self.registry.notify(self.run.path, event)
