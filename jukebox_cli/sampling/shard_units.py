"""What is left to do of a job, in units that commands which share the work can claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import batch_key
from jukebox_cli.sampling.slices import SlicedItem, sliced_items
from jukebox_cli.sampling.stages import decode_stage, level_stage
from jukebox_cli.sampling.windows import SegmentWindows

#: A slice; all seams of a segment and joining its slices; a segment that is not sliced; the audio.
Kind = Literal["slice", "seams", "segment", "decode"]
#: Which units are done first, if there are several kinds: those that others wait for.
_PRIORITY: Sequence[Kind] = ("seams", "segment", "slice", "decode")


@dataclass(frozen=True)
class Unit:
    """A part of an item that one command does. `number` is that of a slice."""

    kind: Kind
    item: int
    level: int = 0
    segment: int = 0
    number: int = 0

    @property
    def name(self) -> str:
        """The name of its claim."""
        if self.kind == "decode":
            return f"item-{self.item:02}-decode"
        number = f"-slice-{self.number:02}" if self.kind == "slice" else f"-{self.kind}"
        number = "" if self.kind == "segment" else number
        return f"item-{self.item:02}-level-{self.level}-segment-{self.segment}{number}"

    def __str__(self) -> str:
        stage = decode_stage(0) if self.kind == "decode" else level_stage(self.level)
        part = f", slice {self.number}" if self.kind == "slice" else ""
        return f"{stage} of item {self.item}{part}"


@dataclass(frozen=True)
class UnitGroup:
    """Units that can be done together, as rows of a batch: what is left of `total` that there were,
    by their position among these."""

    kind: Kind
    level: int
    total: int
    units: dict[int, Unit]


def open_groups(job: Job, until: str) -> list[UnitGroup]:
    """What can be done now towards `until` (top, tokens, audio), most urgent first. Empty if
    nothing is left to do."""
    groups: dict[tuple[Kind, int, str], UnitGroup] = {}
    for index, item in enumerate(job.items):
        for unit, key, count in _open_units(job, item, until):
            total = count * len(job.items)
            empty = UnitGroup(unit.kind, unit.level, total, {})
            group = groups.setdefault((unit.kind, unit.level, key), empty)
            group.units[index * count + unit.number] = unit
    return sorted(groups.values(), key=lambda group: (_PRIORITY.index(group.kind), -group.level))


def first_part(job: Job, level: int, item: int) -> SegmentWindows:
    """The first segment of an item that is incomplete at a level."""
    return job.missing_parts(level, item)[0]


def sliced_part(job: Job, level: int, item: int) -> SlicedItem | None:
    """The first segment of an item that is incomplete at a level, if it is sampled in slices."""
    sliced = sliced_items(job, level, {item: first_part(job, level, item)})
    return sliced[0] if sliced else None


def _open_units(job: Job, item: int, until: str) -> Iterator[tuple[Unit, str, int]]:
    """The units of an item that can be done now, each with the key of what it can be done together
    with, and how many units there are of its kind, done ones included."""
    for level in range(job.top_level, job.lowest_level(until) - 1, -1):
        if job.num_missing_tokens(level, item):
            yield from _open_units_of_level(job, level, item)
            return
    if until == "audio" and not job.run.has_audio(item, 0):
        yield Unit("decode", item), "", 1


def _open_units_of_level(job: Job, level: int, item: int) -> Iterator[tuple[Unit, str, int]]:
    segment, key = first_part(job, level, item).number, batch_key(job, level, item)
    sliced = sliced_part(job, level, item)
    numbers = sliced.incomplete_slices() if sliced else []
    if sliced and numbers:
        for number in numbers:
            yield Unit("slice", item, level, segment, number), key, sliced.layout.plan.count
    else:
        yield Unit("seams" if sliced else "segment", item, level, segment), key, 1
