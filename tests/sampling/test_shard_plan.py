"""How workers agree on a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling import sampler
from jukebox_cli.sampling.checks import validate_job
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.pipeline import complete_run
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.sampling.shard import Shard
from jukebox_cli.sampling.shard_plan import begin_shared, with_shard
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import ComputeSettings
from support.command_line import stop_at
from support.jobs import make_job
from support.results import refusal
from support.run_files import contents
from support.shards import share

JobMaker = Callable[..., Job]


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> JobMaker:
    """`job()` is always of the same run."""

    def make(**changes: Any) -> Job:
        changes = {"parallel": 3, "engine": "torch", **changes}
        return make_job(tmp_path / "run", tiny, registry, (0, 1, 2), **changes)

    return make


def test_without_slices_a_share_is_some_of_the_items(job: JobMaker) -> None:
    for parallel in (None, 1):
        mine = with_shard(job(parallel=parallel), Shard(1, 2))
        assert (mine.items, list(mine.specs), mine.shard) == ((0, 2), [0, 2], None)
    assert with_shard(job(parallel=None), Shard(4, 4)).items == ()


def test_with_slices_it_is_a_part_of_every_item(job: JobMaker) -> None:
    mine = with_shard(job(), Shard(1, 2))
    assert (mine.items, mine.shard) == ((0, 1, 2), Shard(1, 2))
    share(job(), 1, 2)
    there = job(parallel=None)
    there = replace(there, specs=there.run.read_items(there.items))
    assert with_shard(there, Shard(1, 2)).shard == Shard(1, 2)


def test_the_plan_is_recorded_once_and_kept(job: JobMaker) -> None:
    first = share(job(), 1, 2)
    segment = first.run.item(2).segments[0]
    assert [plan and plan.count for plan in segment.slices] == [3, 2, None]
    assert segment.compute == (ComputeSettings("torch", "fp32"),) * 3
    assert segment.shared == (True, True, True)
    before = contents(first.run.path)
    for other in (job(), job(parallel=None), job(parallel="auto", engine="auto")):
        assert share(other, 2, 2).specs == first.specs
        assert contents(first.run.path) == before


def test_only_levels_that_are_wanted_are_planned(job: JobMaker) -> None:
    assert share(job(), 1, 2, "top").specs[0].segments[0].shared == (False, False, True)
    assert share(job(parallel=2), 1, 2).specs[0].segments[0].shared == (True, True, True)


@pytest.mark.parametrize(("parallel", "text"), [(2, "in 2 slices"), (1, "in one slice")])
def test_another_number_of_slices_is_an_error(parallel: int, text: str, job: JobMaker) -> None:
    run = share(job(), 1, 2).run
    before = contents(run.path)
    message, hint = refusal(share, job(parallel=parallel), 2, 2)
    level = 0 if parallel == 2 else 1
    wanted = {0: "in 3 slices", 1: "in 2 slices"}[level]
    assert message == f"item 0 of {run.path} was begun at level {level} {wanted}, not {text}"
    assert hint == "leave out --parallel to finish it, or choose another --out"
    assert contents(run.path) == before


def test_another_precision_is_an_error(job: JobMaker) -> None:
    run = share(job(), 1, 2).run
    before = contents(run.path)
    message, hint = refusal(share, job(precision="fp16"), 2, 2)
    assert message == (
        f"other commands sample item 0 of {run.path} at level 2 with torch, fp32, not with "
        "torch, fp16"
    )
    assert hint == "leave out --engine and --precision, or choose another --out"
    assert contents(run.path) == before


def test_another_request_is_an_error(job: JobMaker) -> None:
    run = share(job(), 1, 2).run
    other = job()
    seeded = {
        i: spec.with_segment(0, replace(spec.segments[0], seed=8))
        for i, spec in other.specs.items()
    }
    message, hint = refusal(share, replace(other, specs=seeded), 2, 2)
    assert message == f"{run.path} is a run with another seed"
    assert hint == "choose another folder with --out, or ask for the same as before"


def test_a_worker_that_looked_before_another_began_takes_its_plan(
    job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = with_shard(job(), Shard(2, 2))
    first = share(job(), 1, 2)
    complete_run(replace(first, shard=None), "top")
    stop_at(monkeypatch, sampler, "draw_tokens", 20)
    with pytest.raises(KeyboardInterrupt):
        sample_level(first, 1)  # begun, by a plan that `late` does not know
    validate_job(late, "tokens")
    assert begin_shared(late, "tokens", create_run).specs == first.run.read_items(late.items)


def test_what_creates_a_run_is_called_with_what_is_there(job: JobMaker) -> None:
    first = share(job(), 1, 2)
    calls: list[Job] = []
    begin_shared(replace(job(), shard=Shard(2, 2)), "tokens", calls.append)
    assert calls[0].specs == first.specs
    create_run(calls[0])
    extended = {i: spec.extended(spec.num_samples + 160) for i, spec in first.specs.items()}
    assert {segment.shared for spec in extended.values() for segment in spec.segments[1:]} == {()}
