"""Levels in slices: the same tokens for a plan, whatever the batch and the interruptions."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jukebox_cli.config.schema import Options
from jukebox_cli.model.devices import pick_device
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline, sampler
from jukebox_cli.sampling.compute import record_settings
from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.level_thread import LevelThread
from jukebox_cli.sampling.run_summary import describe_progress
from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    sample_windows,
)
from jukebox_cli.sampling.slices import seam_cut
from jukebox_cli.sampling.windows import TokenWindow, token_windows
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import SlicePlan
from support.command_line import stop_at
from support.engines import needs_native_engine
from support.jobs import NUM_SAMPLES, make_job, tokens_on_disk
from support.results import refusal

SONGS: Mapping[int, Mapping[str, Any]] = {1: {"genre": ["jazz"]}}
#: Of `--parallel 3` and NUM_SAMPLES: level 1 is too short for three windows.
PLANS = (SlicePlan(3, 0, 34, 4), SlicePlan(2, 0, 32, 4), None)
ENGINES = ["torch", pytest.param("native", marks=needs_native_engine)]
Tokens = dict[tuple[int, int], list[int]]
JobMaker = Callable[..., Job]


@pytest.fixture(scope="module")
def job(tiny: Model, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> JobMaker:
    """`job(items)` is a job on a run in a new folder, with three slices."""

    def make(items: Sequence[int], **changes: Any) -> Job:
        changes = {"parallel": 3, "engine": "torch", **changes}
        return make_job(tmp_path_factory.mktemp("run"), tiny, registry, items, SONGS, **changes)

    return make


def begun(job: Job) -> Job:
    """The job with its items on disk."""
    job.run.write_config(job.config)
    for item in job.items:
        job.run.write_item(item, job.specs[item])
    return job


def complete(job: Job) -> Tokens:
    pipeline.complete_run(job, "tokens")
    return tokens_on_disk(job)


@pytest.fixture(scope="module")
def whole(job: JobMaker) -> Tokens:
    """The tokens of two items, sampled in slices without interruption."""
    return complete(job((0, 1)))


@pytest.fixture(scope="module")
def sequential(job: JobMaker) -> Tokens:
    return complete(job((0, 1), parallel=None))


def test_only_lower_levels_are_sampled_in_slices(whole: Tokens, sequential: Tokens) -> None:
    assert {key: len(tokens) for key, tokens in whole.items()} == {
        (level, item): 400 >> level for level in range(3) for item in (0, 1)
    }
    for item in (0, 1):
        assert whole[2, item] == sequential[2, item]
        # up to its end slice 0 is sampled as the level is without slices, but for a last window
        # that is moved back
        assert whole[1, item][:64] == sequential[1, item][:64]
        assert whole[1, item] != sequential[1, item]


def test_parallel_1_changes_nothing(job: JobMaker, sequential: Tokens) -> None:
    this_job = begun(job((0, 1), parallel=1))
    assert complete(this_job) == sequential
    assert [spec.segments[0].slices for spec in this_job.run.read_items((0, 1)).values()] == [
        (),
        (),
    ]


@pytest.mark.parametrize(("items", "batch_size"), [((1,), 16), ((0, 1), 1), ((0, 1), 6)])
def test_tokens_do_not_depend_on_the_batch(
    items: tuple[int, ...], batch_size: int, job: JobMaker, whole: Tokens
) -> None:
    tokens = complete(job(items, batch_size=batch_size))
    assert tokens == {key: song for key, song in whole.items() if key[1] in items}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_interrupted_anywhere_has_the_same_tokens(
    engine: str, job: JobMaker, monkeypatch: pytest.MonkeyPatch, whole: Tokens
) -> None:
    expected = whole if engine == "torch" else complete(job((0, 1), engine=engine))
    this_job = begun(job((0, 1), engine=engine))
    draw = random.Random(3)
    module, name = (
        (sampler, "draw_tokens") if engine == "torch" else (sampler.WindowSampler, "_sample")
    )
    found = set()
    for _ in range(12):
        with monkeypatch.context() as patch:
            stop_at(patch, module, name, draw.randrange(150 if engine == "torch" else 8))
            try:
                pipeline.complete_run(this_job, "tokens")
            except KeyboardInterrupt:
                found |= {p.name.split("-")[-2] for p in this_job.run.path.rglob("item-00-*")}
        this_job = reopened(this_job)
    assert "slice" in found
    assert complete(this_job) == expected
    assert not list(this_job.run.path.rglob("*segment*"))


def reopened(job: Job) -> Job:
    """The job as another command finds it, without --parallel."""
    specs = job.run.read_items(job.items)
    return replace(job, parallel=None, specs=specs)


def test_an_interrupted_seam_is_continued(
    job: JobMaker, monkeypatch: pytest.MonkeyPatch, whole: Tokens
) -> None:
    this_job = begun(job((0,)))
    pipeline.complete_run(this_job, "top")
    with monkeypatch.context() as patch:
        # level 1: slices of 84 + 32 tokens, of which the first is drawn in this many positions
        stop_at(patch, sampler, "draw_tokens", 116 + 2)
        with pytest.raises(KeyboardInterrupt):
            pipeline.complete_run(this_job, "tokens")
    files = this_job.run.slice_files(1, 0, 0)
    assert files.num_tokens("slice", 0) == files.num_tokens("slice", 1) == 116
    assert files.num_tokens("seam", 1) == 32 + 2
    assert complete(reopened(this_job)) == {key: t for key, t in whole.items() if key[1] == 0}


def test_progress_counts_slices(job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[tuple[str, int, int]] = []
    counts: dict[str, int] = {}

    def progress(description: str, done: int, total: int) -> Callable[[int], None]:
        reports.append((description, done, total))
        counts[description] = done

        def advance(count: int) -> None:
            counts[description] += count

        return advance

    this_job = replace(begun(job((0,))), progress=progress)
    pipeline.complete_run(this_job, "top")
    assert describe_progress(this_job) == "level 2"
    with monkeypatch.context() as patch:
        stop_at(patch, sampler, "draw_tokens", 32)
        with pytest.raises(KeyboardInterrupt):
            pipeline.complete_run(this_job, "tokens")
    total = 2 * 116 + 4
    assert describe_progress(reopened(this_job)) == f"level 1: {100 * 64 // total} %"
    pipeline.complete_run(reopened(this_job), "tokens")
    assert reports[1:3] == [("level 1", 0, total), ("level 1", 64, total)]
    assert counts == {"level 2": 100, "level 1": total, "level 0": 3 * 156 + 2 * 4}


def alone(job: Job, level: int, row: PartialTokens, windows: Sequence[TokenWindow]) -> np.ndarray:
    """One row, sampled as the only one of its batch."""
    prior = load_prior(job.model, level, job.registry, pick_device("cpu"))
    conditioned = ConditionedItem(row.item, job.song(row.item), NUM_SAMPLES, row.first)
    conditioner = SongConditioner(job, level, prior, [conditioned])
    level_sampler = LevelSampler(level, prior, [])
    sample_windows(level_sampler, [row], windows, conditioner, ProgressCallbacks())
    return row.tokens


def test_slices_are_songs_of_their_own_joined_by_seams(job: JobMaker) -> None:
    this_job = job((1,))
    tokens = complete(this_job)[0, 1]
    windows = token_windows(156, 64, 0.5, 0, 2)
    slices = [
        alone(this_job, 0, PartialTokens(1, 7, np.zeros(156, np.int64), 0, first), windows)
        for first in (0, 122, 244)
    ]
    expected = slices[0].tolist()
    for before, after, first in zip(slices, slices[1:], (122, 244), strict=False):
        prompt = np.pad(before[-34:], (0, 4))
        seam = alone(this_job, 0, PartialTokens(1, 7, prompt, 34, first), [TokenWindow(0, 34, 38)])
        assert seam[:34].tolist() == expected[-34:]  # the real left context
        cut = 34 + seam_cut(seam[34:], after[34:38])
        expected += [*seam[34:cut].tolist(), *after[cut:].tolist()]
    assert tokens == expected


@pytest.mark.parametrize(
    ("new", "old", "cut"),
    [
        ("abcd", "abcd", 4),
        ("abcd", "wxyz", 4),
        ("abcdefgh", "xbcdyfgz", 4),
        ("abcdefgh", "xbxdefgz", 7),
        ("abcd", "abxd", 2),
    ],
)
def test_a_seam_ends_after_the_longest_run_of_unchanged_tokens(
    new: str, old: str, cut: int
) -> None:
    arrays = [np.frombuffer(text.encode(), np.uint8) for text in (new, old)]
    assert seam_cut(*arrays) == cut


def test_guidance_in_slices(job: JobMaker) -> None:
    def guided(base: Job) -> Job:
        options: Options = {"guidance": 3.0}
        specs = {
            item: spec.with_segment(0, replace(spec.segments[0], sampling=(options,) * 3))
            for item, spec in base.specs.items()
        }
        return replace(base, specs=specs)

    together, single = complete(guided(job((0, 1)))), complete(guided(job((1,))))
    assert single.items() <= together.items()


@pytest.mark.parametrize("middle", [800, 1000])  # 1000 ends within a token of the top level
def test_a_segment_that_was_added_has_slices_of_its_own(middle: int, job: JobMaker) -> None:
    first = job((0,), num_samples=middle, parallel=None)
    before = complete(first)
    for (level, item), tokens in before.items():
        whole = np.array(tokens[: first.grid.num_whole_tokens(level, middle)])
        first.run.write_tokens(level, item, whole, first.model.config.vqvae)
    longer = replace(
        first,
        parallel=4,
        specs={0: first.specs[0].extended(middle + NUM_SAMPLES, seed=8)},
    )
    begun(longer)
    after = complete(longer)
    for (level, _), tokens in before.items():
        kept = first.grid.num_whole_tokens(level, middle)
        assert after[level, 0][:kept] == tokens[:kept]
        assert len(after[level, 0]) == longer.num_tokens(level, 0)
    segments = longer.run.item(0).segments
    known = first.grid.num_whole_tokens(0, middle)
    assert segments[0].slices == ()
    assert segments[1].slice_plan(0) == SlicePlan(4, known - 32, 32, 4)


def test_a_plan_is_recorded_when_levels_are_begun_and_kept(job: JobMaker) -> None:
    this_job = begun(job((0,)))
    pipeline.complete_run(this_job, "top")
    assert this_job.run.item(0).segments[0].slices == ()
    complete(this_job)
    assert this_job.run.item(0).segments[0].slices == PLANS


@pytest.mark.parametrize(
    ("begun_with", "then", "how", "wanted"),
    [
        (3, 2, "in 3 slices", "in 2 slices"),
        (3, 1, "in 3 slices", "in one slice"),
        (None, 3, "in one slice", "in 3 slices"),
    ],
)
def test_another_number_of_slices_than_it_was_begun_with_is_an_error(
    begun_with: int | None,
    then: int,
    how: str,
    wanted: str,
    job: JobMaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    this_job = begun(job((0,), parallel=begun_with))
    pipeline.complete_run(this_job, "top")
    sample_level(this_job, 1)
    with monkeypatch.context() as patch:
        stop_at(patch, sampler, "draw_tokens", 40)
        with pytest.raises(KeyboardInterrupt):
            pipeline.complete_run(this_job, "tokens")
    other = replace(reopened(this_job), parallel=then)
    message, hint = refusal(pipeline.complete_run, other, "tokens")
    path = this_job.run.path
    assert message == f"item 0 of {path} was begun at level 0 {how}, not {wanted}"
    assert hint == "leave out --parallel to finish it, or choose another --out"
    pipeline.complete_run(replace(other, parallel="auto"), "tokens")


def test_a_run_interrupted_at_the_top_keeps_the_plan_of_lower_levels(
    job: JobMaker, monkeypatch: pytest.MonkeyPatch, whole: Tokens
) -> None:
    this_job = begun(job((0,)))
    with monkeypatch.context() as patch:
        stop_at(patch, sampler, "draw_tokens", 10)
        with pytest.raises(KeyboardInterrupt):
            pipeline.complete_run(this_job, "tokens")
    assert complete(reopened(this_job)) == {key: t for key, t in whole.items() if key[1] == 0}


def test_a_damaged_slice_is_an_error_whose_hint_works(
    job: JobMaker, monkeypatch: pytest.MonkeyPatch, whole: Tokens
) -> None:
    this_job = begun(job((0,)))
    pipeline.complete_run(this_job, "top")
    with monkeypatch.context() as patch:
        stop_at(patch, sampler, "draw_tokens", 70)
        with pytest.raises(KeyboardInterrupt):
            pipeline.complete_run(this_job, "tokens")
    path: Path = this_job.run.slice_files(1, 0, 0).path("slice", 1)
    path.write_bytes(path.read_bytes()[:-2] + b"\x3f\x00")
    message, hint = refusal(pipeline.complete_run, reopened(this_job), "tokens")
    assert message == f"{path} is damaged: its checksum does not match"
    assert hint == "restore it from a copy; or delete that file and run the same command again"
    path.unlink()
    assert complete(reopened(this_job)) == {key: t for key, t in whole.items() if key[1] == 0}


def test_files_of_an_interrupted_end_are_not_taken_for_another_segment(job: JobMaker) -> None:
    this_job = begun(job((0,)))
    complete(this_job)
    files = this_job.run.slice_files(0, 0, 0)
    files.write("slice", 0, this_job.model.config.vqvae, np.zeros(9, np.int64))
    assert describe_progress(reopened(this_job)) == "tokens"
    assert not this_job.run.slice_files(0, 0, 1).exist()
    this_job.run.delete_tokens(0)
    assert not files.exist()


def test_reopened_jobs_find_plans_in_files(job: JobMaker, registry: Registry) -> None:
    this_job = begun(job((0,)))
    pipeline.complete_run(this_job, "tokens")
    spec = this_job.run.item(0)
    assert spec.segments[0].slice_plan(0) == PLANS[0]
    assert spec.extended(2 * NUM_SAMPLES).segments[1].slices == ()


@pytest.mark.parametrize(
    "worker", [LevelThread, pytest.param(LevelProcess, marks=pytest.mark.slow)]
)
def test_levels_in_workers_have_the_same_slices(
    worker: type[LevelThread] | type[LevelProcess], job: JobMaker, whole: Tokens
) -> None:
    levels = [2, 1, 0]
    this_job = record_settings(begun(job((0, 1))), levels)
    pipeline.sample_levels_in_parallel(this_job, levels, worker)
    assert tokens_on_disk(this_job) == whole
    assert not list(this_job.run.path.rglob("*segment*"))


def test_a_stream_of_slices_is_the_file_of_a_run_without_one(job: JobMaker) -> None:
    streamed, other = begun(job((0,))), begun(job((0,)))
    played: list[np.ndarray] = []
    pipeline.stream_run(streamed, played.append)
    pipeline.complete_run(other)
    assert tokens_on_disk(streamed) == tokens_on_disk(other)
    assert sum(map(len, played)) == NUM_SAMPLES
    files = [each.run.audio_file(0).read_bytes() for each in (streamed, other)]
    assert files[0] == files[1]
