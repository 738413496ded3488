"""Several workers on one run: the tokens of one worker with the same plan."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Thread
from typing import Any

import numpy as np
import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline, sampler
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.sampling.run_summary import describe_progress
from jukebox_cli.sampling.shard_units import open_groups, sliced_part
from jukebox_cli.storage.claims import Claims
from jukebox_cli.storage.locks import WorkLock
from jukebox_cli.storage.model import Model
from support.command_line import stop_at
from support.engines import needs_native_engine
from support.jobs import make_job, tokens_on_disk
from support.results import refusal
from support.shards import poll_fast, share, sudden_death, work, work_together

SONGS: Mapping[int, Mapping[str, Any]] = {1: {"genre": ["jazz"]}}
Tokens = dict[tuple[int, int], list[int]]
JobMaker = Callable[..., Job]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)


@pytest.fixture(scope="module")
def job(tiny: Model, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> JobMaker:
    """`job(items)` is a job on a run in a new folder, with three slices."""

    def make(items: Sequence[int] = (0,), **changes: Any) -> Job:
        changes = {"parallel": 3, "engine": "torch", **changes}
        return make_job(tmp_path_factory.mktemp("run"), tiny, registry, items, SONGS, **changes)

    return make


@pytest.fixture(scope="module")
def whole(job: JobMaker) -> Tokens:
    """The tokens of two items, sampled by one command that shares them with nobody."""
    this_job = job((0, 1))
    create_run(this_job)
    pipeline.complete_run(this_job, "tokens")
    return tokens_on_disk(this_job)


def of_item(tokens: Tokens, item: int) -> Tokens:
    return {key: song for key, song in tokens.items() if key[1] == item}


def files_left(job: Job) -> list[str]:
    """Names of files of slices and claims."""
    found = [*job.run.path.rglob("*segment*"), *job.run.claims_folder.iterdir()]
    return [path.name for path in found if path.name != ".lock"]


@pytest.mark.parametrize("numbers", [(1,), (1, 2), (2, 1, 3), (4, 3, 2, 1)])
def test_workers_at_the_same_time_make_the_tokens_of_one(
    numbers: Sequence[int], job: JobMaker, whole: Tokens
) -> None:
    this_job = job((0, 1))
    work_together(this_job, numbers)
    assert tokens_on_disk(this_job) == whole
    assert files_left(this_job) == []


@needs_native_engine
def test_the_native_engine_too(job: JobMaker) -> None:
    alone, shared = job(engine="native"), job(engine="native")
    create_run(alone)
    pipeline.complete_run(alone, "tokens")
    work_together(shared, (1, 2))
    assert tokens_on_disk(shared) == tokens_on_disk(alone)


@pytest.mark.parametrize("seed", range(4))
def test_workers_that_are_killed_lose_nothing(
    seed: int, job: JobMaker, whole: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    this_job, draw = job((0, 1), batch_size=2), random.Random(seed)
    deaths = 0
    for _ in range(12):
        number = draw.randint(1, 3)
        with sudden_death(monkeypatch), monkeypatch.context() as patch:
            stop_at(patch, sampler, "draw_tokens", draw.randrange(200))
            deaths += 1
            work(this_job, number, 3)
            deaths -= 1
    assert deaths > 3
    work(this_job, 2, 3)
    assert tokens_on_disk(this_job) == whole
    assert files_left(this_job) == []


def test_a_slice_that_was_left_is_gone_on_with(
    job: JobMaker, whole: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    this_job = job()
    work(this_job, 1, 2, "top")
    with sudden_death(monkeypatch), monkeypatch.context() as patch:
        stop_at(patch, sampler, "draw_tokens", 40)
        work(this_job, 2, 2)
    files = this_job.run.slice_files(1, 0, 0)
    assert [files.num_tokens("slice", n) for n in (0, 1)] == [0, 40]
    assert this_job.run.claims_folder.joinpath("item-00-level-1-segment-0-slice-01.holder").exists()
    assert describe_progress(share(this_job, 1, 2)) == f"level 1: {200 * 40 // 236 // 2} %"
    work(this_job, 1, 2)
    assert tokens_on_disk(this_job) == of_item(whole, 0)


def test_a_command_without_shards_finishes_what_workers_left(
    job: JobMaker, whole: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    this_job = job()
    with sudden_death(monkeypatch), monkeypatch.context() as patch:
        stop_at(patch, sampler, "draw_tokens", 100 + 60)
        work(this_job, 2, 2)
    specs = this_job.run.read_items((0,))
    pipeline.complete_run(replace(this_job, parallel=None, specs=specs), "tokens")
    assert tokens_on_disk(this_job) == of_item(whole, 0)


def test_each_worker_takes_a_fair_share(job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    this_job = share(job(), 2, 3)
    pipeline.complete_run(this_job, "top")
    sample_level(this_job, 1)
    taken: list[str] = []
    take = Claims.take

    def record(self: Claims, name: str, wait: bool = False) -> bool:
        taken.append(name)
        return take(self, name, wait)

    monkeypatch.setattr(Claims, "take", record)
    work(this_job, 2, 3)
    assert [name.rpartition("-")[2] for name in taken] == ["01", "02", "00", "seams"]


def test_a_worker_waits_for_what_another_does(
    job: JobMaker, whole: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    this_job, notes = job(), list[str]()
    name = "item-00-level-2-segment-0"
    with Claims(this_job.run.claims_folder, "shard 2/2", may_be_taken=True) as other:
        assert other.take(name)
        thread = Thread(target=work, args=(this_job, 1, 2, "tokens", notes))
        thread.start()
        while not notes:
            assert thread.is_alive()
        holder = other.holder(name)
        other.release(name)
        thread.join()
    assert holder
    assert notes == [
        f"waiting for level 2 of item 0, which is done by process {holder.pid} on {holder.host} "
        "(shard 2/2)"
    ]
    assert tokens_on_disk(this_job) == of_item(whole, 0)


def test_two_that_sample_the_same_slice_do_no_harm(job: JobMaker, whole: Tokens) -> None:
    this_job = job()
    with pytest.MonkeyPatch.context() as patch:  # claims that keep nobody away
        patch.setattr(WorkLock, "acquire", lambda self, wait=False: True)
        work_together(this_job, (1, 2))
    assert tokens_on_disk(this_job) == of_item(whole, 0)
    assert files_left(this_job) == []


def test_a_shorter_slice_does_not_replace_a_longer_one(job: JobMaker) -> None:
    this_job = share(job(), 1, 1)
    pipeline.complete_run(this_job, "top")
    sample_level(this_job, 1)
    (group,) = open_groups(this_job, "tokens")
    sliced = sliced_part(this_job, 0, 0)
    assert sliced
    assert len(group.units) == 3
    slow = sliced.slice_row(1)
    slow.write(np.arange(20), None)
    slow.write(np.arange(10), None)
    assert sliced.files.num_tokens("slice", 1) == 20


def test_slices_of_other_weights_are_refused(job: JobMaker) -> None:
    this_job = share(job(), 1, 1)
    pipeline.complete_run(this_job, "top")
    files = this_job.run.slice_files(1, 0, 0, "0" * 32)
    files.write("slice", 1, this_job.model.config.vqvae, np.zeros(116, np.int64))
    message, hint = refusal(work, this_job)
    path = files.path("slice", 1)
    assert message == (
        f"{path} was sampled from another request, with other weights or in other slices"
    )
    assert hint == "restore it from a copy; or delete that file and run the same command again"
    path.unlink()
    work(this_job)


def test_songs_are_decoded_by_one_of_them(job: JobMaker) -> None:
    alone, shared = job((0, 1)), job((0, 1))
    create_run(alone)
    pipeline.complete_run(alone)
    work_together(shared, (1, 2, 3), "audio")
    for item in (0, 1):
        files = [each.run.audio_file(item).read_bytes() for each in (alone, shared)]
        assert files[0] == files[1]
    assert describe_progress(shared) == "audio"


def test_an_error_frees_what_was_claimed(job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    this_job = job()
    with monkeypatch.context() as patch:
        stop_at(patch, sampler, "draw_tokens", 150)
        with pytest.raises(KeyboardInterrupt):
            work(this_job, 1, 2)
    assert not list(this_job.run.claims_folder.glob("*.holder"))
