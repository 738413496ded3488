"""Doing a share of a job whose items other commands work on too (`--shard` with `--parallel`).

A worker takes what can be done and nobody else does, a fair share at a time, until nothing is left:
the slices of a level as rows of a batch; the seams when all slices are there, whoever sampled them;
levels of songs that are not cut. It claims what it takes in the run's folder. If it is killed, its
claims are free, what it wrote stays, and another goes on from there.

What a unit comes to depends on nothing but the plan in the item's file, so that any number of
workers, in any order, make the tokens that one makes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from jukebox_cli.sampling.decode import decode_items
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import LoadPrior, level_sampler, prior_loader, sample_segment
from jukebox_cli.sampling.rows import sample_rows
from jukebox_cli.sampling.shard import Shard
from jukebox_cli.sampling.shard_units import (
    Unit,
    UnitGroup,
    first_part,
    open_groups,
    sliced_part,
)
from jukebox_cli.sampling.slices import delete_leftover_slices
from jukebox_cli.sampling.stages import level_stage
from jukebox_cli.sampling.weights import (
    require_same_weights,
    warn_if_sampled_with_other_weights,
)
from jukebox_cli.sampling.windows import SegmentWindows
from jukebox_cli.storage.claims import Claims

if TYPE_CHECKING:
    from jukebox_cli.sampling.sampler import LevelSampler

#: Seconds between looks at what others have done: at first, and at most.
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.2, 5.0

OnWait = Callable[[str], None]


def complete_shared(job: Job, until: str, on_wait: OnWait) -> None:
    """Samples and decodes what a job lacks as far as `until` (top, tokens, audio), beside other
    commands. Returns when all of it is there, whoever did it.

    The job is one from `begin_shared`. `on_wait` is told what it waits for. Raises InputError as
    `sample_level` and `decode_items` do.
    """
    assert job.shard
    warn_if_sampled_with_other_weights(job)
    with Claims(job.run.claims_folder, str(job.shard), may_be_taken=True) as claims:
        ShardWorker(job, until, job.shard, claims, on_wait).run()


@dataclass
class ShardWorker:
    """One of several commands that do a job."""

    job: Job
    until: str
    shard: Shard
    claims: Claims
    on_wait: OnWait
    loaders: dict[int, LoadPrior] = field(default_factory=dict)  # of the level sampled last
    waiting_for: str = ""

    def run(self) -> None:
        """Does what is left, with the others."""
        pause = MIN_POLL_SECONDS
        while groups := open_groups(self.job, self.until):
            if any(self._do_share(group) for group in groups):
                pause = MIN_POLL_SECONDS
            else:
                self._wait(groups, pause)
                pause = min(MAX_POLL_SECONDS, 1.5 * pause)
        delete_leftover_slices(self.job)

    def _wait(self, groups: Sequence[UnitGroup], seconds: float) -> None:
        first = next(iter(groups[0].units.values()))
        if holder := self.claims.holder(first.name):
            text = f"waiting for {first}, which is done by {holder}"
            if text != self.waiting_for:
                self.on_wait(text)
                self.waiting_for = text
        time.sleep(seconds)

    def _do_share(self, group: UnitGroup) -> bool:
        """Does units of a group that are free, as many as are a fair share; returns whether there
        were any."""
        with self._claimed(group) as units:
            if units:
                self._do(group, units)
        return bool(units)

    @contextmanager
    def _claimed(self, group: UnitGroup) -> Iterator[list[Unit]]:
        """Units of a group that are this worker's within the block."""
        size = min(self.job.batch_size, self.shard.size(group.total))
        taken: list[Unit] = []
        try:
            for position in sorted(group.units, key=lambda n: self.shard.rank(n, group.total)):
                unit = group.units[position]
                if len(taken) < size and self.claims.take(unit.name):
                    taken.append(unit)
            # others may have done some of them since `group` was made
            still_open = self._open_units() if taken else set()
            yield [unit for unit in taken if unit in still_open]
        finally:
            for unit in taken:
                self.claims.release(unit.name)

    def _open_units(self) -> set[Unit]:
        groups = open_groups(self.job, self.until)
        return {unit for group in groups for unit in group.units.values()}

    def _do(self, group: UnitGroup, units: Sequence[Unit]) -> None:
        items = sorted({unit.item for unit in units})
        job = replace(self.job, items=items)
        if group.kind == "decode":
            decode_items(job)
            return
        level = group.level
        job.run.require_recorded_tokens(level, [i for i in items if job.specs[i].prompt])
        require_same_weights(job, level, items)
        job.log_event("level", level=level, items=items)
        started = time.monotonic()
        num_tokens = self._sample(job, level, units)
        seconds = round(time.monotonic() - started, 2)
        job.log_event("sampled", level=level, tokens=num_tokens, seconds=seconds)

    def _sample(self, job: Job, level: int, units: Sequence[Unit]) -> int:
        """Samples units of a level that can be rows of a batch; returns how many tokens."""
        parts = {item: first_part(job, level, item) for item in job.items}
        first = next(iter(parts.values()))
        with level_sampler(job, level, self._loader(level), first) as sampler:
            if units[0].kind == "slice":
                return _sample_slices(job, level, sampler, units)
            total = sum(_num_draws(job, level, item, part) for item, part in parts.items())
            advance = job.progress(level_stage(level), 0, total)
            sample_segment(job, level, sampler, parts, advance)
            return total

    def _loader(self, level: int) -> LoadPrior:
        """Loads the prior of a level, and keeps it as long as this is the level."""
        if level not in self.loaders:
            self.loaders = {level: prior_loader(self.job, level)}
        return self.loaders[level]


def _num_draws(job: Job, level: int, item: int, part: SegmentWindows) -> int:
    """Tokens that are still to be sampled of a segment that is not sliced, or of its seams."""
    if sliced := sliced_part(job, level, item):
        return sliced.layout.num_draws(part.first) - sliced.num_drawn()
    return part.end - job.num_sampled_tokens(level, item)


def _sample_slices(job: Job, level: int, sampler: LevelSampler, units: Sequence[Unit]) -> int:
    """Samples some slices of the job's items; returns how many tokens."""
    found = {item: sliced_part(job, level, item) for item in job.items}
    sliced = {item: each for item, each in found.items() if each}
    rows = [sliced[unit.item].slice_row(unit.number) for unit in units]
    done = sum(row.partial.num_done for row in rows)
    total = sum(len(row.partial.tokens) for row in rows)
    *windows, _ = sliced[units[0].item].windows()
    sample_rows(job, sampler, rows, windows, job.progress(level_stage(level), done, total))
    return total - done
