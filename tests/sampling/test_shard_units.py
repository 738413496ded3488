"""What is left to do, in units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.shard_units import Unit, open_groups, sliced_part
from jukebox_cli.storage.model import Model
from support.jobs import make_job
from support.shards import share


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Job:
    """A job that is begun, of two items in three slices; level 1 has room for two."""
    job = make_job(tmp_path / "run", tiny, registry, (0, 1), engine="torch", parallel=3)
    return share(job, 1, 2, "audio")


def names(job: Job, until: str = "audio") -> list[list[str]]:
    """The names of the open units, by group."""
    return [[unit.name for unit in group.units.values()] for group in open_groups(job, until)]


def test_a_level_waits_for_the_level_above(job: Job) -> None:
    top = ["item-00-level-2-segment-0", "item-01-level-2-segment-0"]
    assert names(job) == names(job, "top") == [top]
    pipeline.complete_run(job, "top")
    assert names(job, "top") == []
    (group,) = open_groups(job, "audio")
    assert (group.kind, group.level, group.total) == ("slice", 1, 4)
    assert group.units == {
        2 * item + number: Unit("slice", item, 1, 0, number) for item in (0, 1) for number in (0, 1)
    }


def test_items_go_on_by_themselves_and_seams_come_first(job: Job) -> None:
    pipeline.complete_run(job, "top")
    sliced = sliced_part(job, 1, 1)
    assert sliced
    for number in (0, 1):
        sliced.slice_row(number).write(np.zeros(116, np.int64), None)
    assert names(job) == [
        ["item-01-level-1-segment-0-seams"],
        [f"item-00-level-1-segment-0-slice-0{number}" for number in (0, 1)],
    ]


def test_audio_comes_last(job: Job) -> None:
    for level in (2, 1, 0):
        sample_level(job, level)
    assert names(job, "tokens") == []
    assert names(job) == [["item-00-decode", "item-01-decode"]]


def test_units_are_named_in_messages() -> None:
    assert str(Unit("slice", 3, 1, 0, 2)) == "level 1 of item 3, slice 2"
    assert str(Unit("seams", 3, 1)) == str(Unit("segment", 3, 1)) == "level 1 of item 3"
    assert str(Unit("decode", 3)) == "decode 0 of item 3"
