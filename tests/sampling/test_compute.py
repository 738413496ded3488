"""Each segment is sampled with the engine and precision that it was begun with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jukebox_cli.engine import library
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.compute import record_settings, with_compute_settings
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import ComputeSettings
from support.command_line import Jukebox
from support.engines import needs_native_engine
from support.jobs import make_job, tokens_on_disk
from support.results import Result, refusal

LEVELS = [2, 1, 0]
NATIVE, INT8, TORCH = (
    ComputeSettings(*words) for words in (("native", "fp32"), ("native", "int8"), ("torch", "fp32"))
)
JobMaker = Callable[..., Job]


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> JobMaker:
    """`job()` is a job on a run whose two items are written."""

    def make(name: str = "run", **changes: Any) -> Job:
        made = make_job(tmp_path / name, tiny, registry, (0, 1), num_samples=800, **changes)
        create_run(made)
        return made

    return make


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a machine that has such kernels."""

    def install(*names: str) -> None:
        monkeypatch.setattr(library, "kernel_names", lambda: names)

    return install


@pytest.fixture(autouse=True)
def fast_kernels(kernels: Callable[..., None]) -> None:
    if library.load() is None:
        kernels("avx2", "plain")


def chosen(job: Job, item: int = 0, segment: int = 0) -> list[ComputeSettings | None]:
    """What each level of a segment is sampled with, level 0 first."""
    part = job.specs[item].segments[segment]
    return [part.compute_settings(level) for level in range(3)]


def with_tokens(job: Job, counts: Mapping[int, int], items: tuple[int, ...] = (0, 1)) -> None:
    """Writes so many tokens of each level."""
    for level, count in counts.items():
        for item in items:
            tokens = np.zeros(count, np.int64)
            job.run.write_tokens(level, item, tokens, job.model.config.vqvae)


def test_settings_are_chosen_for_the_levels_that_are_asked_for(job: JobMaker) -> None:
    assert chosen(job()) == [None] * 3
    assert chosen(with_compute_settings(job(), [2])) == [None, None, NATIVE]
    assert chosen(with_compute_settings(job(), LEVELS)) == [NATIVE] * 3
    of_torch = with_compute_settings(job(engine="torch"), LEVELS)
    assert chosen(of_torch, 0) == chosen(of_torch, 1) == [TORCH] * 3
    assert chosen(with_compute_settings(job(precision="int8"), LEVELS)) == [INT8] * 3


def test_they_are_recorded_in_the_items_files(job: JobMaker) -> None:
    made = job()
    with_compute_settings(made, LEVELS)
    assert chosen(replace(made, specs={0: made.run.item(0)})) == [None] * 3
    recorded = record_settings(made, [2, 1])
    assert chosen(recorded) == [None, NATIVE, NATIVE]
    for item in (0, 1):
        assert made.run.item(item) == recorded.specs[item]
    (path,) = made.run.path.glob("items/*0.json")
    (segment,) = json.loads(path.read_text())["segments"]
    assert segment["compute"] == [None, *[{"engine": "native", "precision": "fp32"}] * 2]


def test_a_segment_that_is_begun_keeps_what_it_was_begun_with(job: JobMaker) -> None:
    made = record_settings(job(engine="torch"), LEVELS)
    with_tokens(made, {2: 10})
    later = with_compute_settings(replace(made, engine="auto"), LEVELS)
    assert chosen(later) == [NATIVE, NATIVE, TORCH]  # the others had no token yet
    with_tokens(made, {1: 1})
    assert chosen(with_compute_settings(replace(made, engine="auto"), LEVELS))[1:] == [TORCH] * 2


@pytest.mark.parametrize(
    ("engine", "precision", "expected"),
    [
        ("auto", "auto", INT8),
        ("native", "auto", INT8),
        ("auto", "fp16", ComputeSettings("native", "fp16")),
        ("native", "fp32", NATIVE),
        ("torch", "auto", TORCH),
        ("torch", "fp16", ComputeSettings("torch", "fp16")),
    ],
)
def test_what_is_asked_for_wins(
    engine: str, precision: str, expected: ComputeSettings, job: JobMaker
) -> None:
    made = record_settings(job(precision="int8"), LEVELS)
    with_tokens(made, {2: 10})
    again = replace(made, engine=engine, precision=precision)
    assert chosen(with_compute_settings(again, LEVELS))[2] == expected


def test_a_complete_segment_is_left_alone(job: JobMaker) -> None:
    made = record_settings(job(engine="torch"), LEVELS)
    with_tokens(made, {2: 50})
    longer = {item: spec.extended(1590) for item, spec in made.specs.items()}
    again = with_compute_settings(replace(made, specs=longer, engine="native"), LEVELS)
    assert chosen(again, segment=0) == [NATIVE, NATIVE, TORCH]
    assert chosen(again, segment=1) == [NATIVE] * 3


def test_each_item_keeps_its_own(job: JobMaker) -> None:
    made = record_settings(job(engine="torch"), LEVELS)
    with_tokens(made, {2: 10}, items=(1,))
    again = with_compute_settings(replace(made, engine="auto"), LEVELS)
    assert (chosen(again, 0)[2], chosen(again, 1)[2]) == (NATIVE, TORCH)


def test_a_segment_begun_with_an_engine_that_is_not_installed_is_an_error(
    job: JobMaker, kernels: Callable[..., None]
) -> None:
    made = record_settings(job(engine="native"), LEVELS)
    with_tokens(made, {2: 10})
    kernels()
    again = replace(made, engine="auto")
    assert refusal(with_compute_settings, again, LEVELS) == (
        "the native engine is not installed",
        "install jukebox-cli again where there is a C++ compiler, or use --engine torch",
    )
    by_torch = with_compute_settings(replace(made, engine="torch"), LEVELS)
    assert chosen(by_torch) == [TORCH] * 3


# sampled runs


@needs_native_engine
def test_items_of_different_settings_are_sampled_apart(job: JobMaker) -> None:
    """One begun with torch and one with int8, finished by one command."""
    whole = {}
    for name, options in {"torch": {"engine": "torch"}, "int8": {"precision": "int8"}}.items():
        alone = job(name, **options)
        pipeline.complete_run(alone, "top")
        whole[name] = tokens_on_disk(alone)
    both = job()
    for item, name in enumerate(whole):
        engine, precision = ("torch", "auto") if name == "torch" else ("auto", "int8")
        alone = replace(both, items=(item,), engine=engine, precision=precision)
        begun = record_settings(alone, [2])
        both = replace(both, specs={**both.specs, item: begun.specs[item]})
        tokens = np.array(whole[name][2, item][:20])
        both.run.write_tokens(2, item, tokens, both.model.config.vqvae)
    pipeline.complete_run(both, "top")
    assert tokens_on_disk(both) == {(2, 0): whole["torch"][2, 0], (2, 1): whole["int8"][2, 1]}
    assert [both.run.item(item).segments[0].compute_settings(2) for item in (0, 1)] == [
        TORCH,
        INT8,
    ]


GENERATE = ("--seconds", 0.1, "--device", "cpu", "--out", "run")


def recorded(run: Path) -> list[Any]:
    (path,) = run.glob("items/*.json")
    return [segment["compute"] for segment in json.loads(path.read_text())["segments"]]


@needs_native_engine
def test_a_run_says_what_it_was_made_with(here: Path, tiny: Model, jukebox: Jukebox) -> None:
    words = ("generate", "--model", tiny.path, *GENERATE)
    native, by_torch = (
        {"engine": "native", "precision": "fp16"},
        {"engine": "torch", "precision": "fp32"},
    )
    options = ("--engine", "native", "--precision", "fp16", "--until", "top")
    assert jukebox(*words, *options).code == 0
    assert recorded(Path("run")) == [[None, None, native]]
    assert jukebox(*words, "--engine", "torch", "--until", "tokens").code == 0
    assert recorded(Path("run")) == [[by_torch, by_torch, native]]
    assert jukebox("continue", "run", "--seconds", 0.1, "--precision", "fp16").code == 0
    assert recorded(Path("run")) == [[by_torch, by_torch, native], [native] * 3]


@needs_native_engine
def test_a_run_that_was_begun_with_the_native_engine_needs_it(
    here: Path, tiny: Model, jukebox: Jukebox, kernels: Callable[..., None]
) -> None:
    words = ("generate", "--model", tiny.path, *GENERATE, "--until", "top")
    assert jukebox(*words, "--engine", "native").code == 0
    run = Run(Path("run"))
    begun = run.read_tokens(2, 0)
    assert begun is not None
    run.write_tokens(2, 0, begun[:-3], tiny.config.vqvae)
    kernels()
    result = jukebox(*words)
    error = (
        "error: the native engine is not installed\n\nhint: install jukebox-cli again where there "
        "is a C++ compiler, or use --engine torch\n"
    )
    assert result == Result(2, "", error)
    assert run.num_tokens(2, 0) == len(begun) - 3
    assert jukebox(*words, "--engine", "torch").code == 0
    assert recorded(run.path) == [[None, None, {"engine": "torch", "precision": "fp32"}]]
