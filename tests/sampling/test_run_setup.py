"""Jobs of requests: in new runs and in runs of the same request, never in others."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.audio.manifest import Recording
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import (
    create_run,
    differences,
    new_config,
    recording_run_config,
    reopen_job,
    start_job,
)
from jukebox_cli.sampling.tokenize import to_run
from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.storage.run import Run
from support.jobs import SONG
from support.results import refusal
from support.run_files import contents, write_chord

HINT = "choose another folder with --out, or ask for the same as before"


@pytest.fixture
def request_(tiny: Model) -> Request:
    return Request(str(tiny.path), 0.1, (0, 1), 5, SONG)


def test_a_request_is_an_item_of_one_segment(
    request_: Request, tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = start_job(request_, registry, tmp_path / "run", "")
    assert not (tmp_path / "run").exists()
    create_run(job)
    run = Run(tmp_path / "run")
    assert run.items() == [0, 1]
    spec = run.item(0)
    assert (spec.num_samples, len(spec.segments), spec.prompt) == (800, 1, None)
    assert (spec.segments[0].seed, spec.conditions) == (5, SONG)
    assert run.config == new_config(tiny, registry, request_)


def test_the_same_request_changes_no_file(
    request_: Request, registry: Registry, tmp_path: Path
) -> None:
    create_run(start_job(request_, registry, tmp_path / "run", ""))
    before = contents(tmp_path / "run")
    create_run(start_job(request_, registry, tmp_path / "run", ""))
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"seed": 6}, "seed"),
        ({"seconds": 0.2}, "length"),
        ({"song": {}}, "song"),
        ({"hop_fraction": (1.0,)}, "hop_fraction"),
        ({"sampler_options": {"top_k": 2}}, "sampling"),
        ({"seed": 6, "song": {}, "seconds": 0.2}, "seed, length, song"),
    ],
)
@pytest.mark.parametrize("items", [(0, 1), (2,)])
def test_another_request_is_refused_for_any_items(
    items: tuple[int, ...],
    changes: dict[str, Any],
    names: str,
    request_: Request,
    registry: Registry,
    tmp_path: Path,
) -> None:
    create_run(start_job(request_, registry, tmp_path / "run", ""))
    other = replace(request_, items=items, **changes)
    message = f"{tmp_path}/run is a run with another {names}"
    assert refusal(start_job, other, registry, tmp_path / "run", "") == (message, HINT)


def test_items_that_were_continued_are_not_changed(
    request_: Request, registry: Registry, tmp_path: Path
) -> None:
    job = start_job(request_, registry, tmp_path / "run", "")
    create_run(job)
    longer = job.specs[0].extended(1200, seed=9)
    job.run.write_item(0, longer)
    again = start_job(replace(request_, items=(0, 1, 2)), registry, tmp_path / "run", "")
    assert again.specs == {0: longer, 1: job.specs[1], 2: job.specs[1]}


def test_an_item_of_another_length_differs(
    request_: Request, registry: Registry, tmp_path: Path
) -> None:
    job = start_job(request_, registry, tmp_path / "run", "")
    create_run(job)
    longer = job.specs[0].extended(1200)
    assert differences(job.run, job.config, {0: longer}) == ["length"]
    job.run.write_item(0, longer)
    assert differences(job.run, job.config, {0: longer}) == []
    assert differences(job.run, job.config, {0: job.specs[0].extended(1300)}) == ["length"]


def test_a_run_without_a_name_gets_the_next_free_one(
    request_: Request, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = []
    for seed in (0, 1, 0, 1):
        job = start_job(replace(request_, seed=seed), registry, None, "song")
        create_run(job)
        names.append(job.run.path.name)
    assert names == ["song", "song-2", "song", "song-2"]


def test_tokens_of_an_interrupted_command_are_replaced(
    request_: Request, registry: Registry, tmp_path: Path
) -> None:
    job = start_job(request_, registry, tmp_path / "run", "")
    job.run.write_tokens(2, 0, np.array([5]), job.model.config.vqvae)
    create_run(start_job(request_, registry, tmp_path / "run", ""))
    assert (job.run.item(0), job.run.num_tokens(2, 0)) == (job.specs[0], 0)


def test_items_of_an_interrupted_command_are_refused_and_kept(
    request_: Request, registry: Registry, tmp_path: Path
) -> None:
    job = start_job(request_, registry, tmp_path / "run", "")
    job.run.write_item(7, job.specs[0])
    error = (
        f"{tmp_path}/run has items but no run.yaml: a command was interrupted there",
        "repeat that command, delete the folder, or choose another --out",
    )
    assert refusal(start_job, request_, registry, tmp_path / "run", "") == error
    assert refusal(create_run, job) == error
    assert (job.run.items(), job.run.exists) == ([7], False)


def test_a_run_that_another_task_makes_just_now_is_not_taken_for_interrupted(
    request_: Request, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = start_job(request_, registry, tmp_path / "run", "")
    other = start_job(replace(request_, items=(7,)), registry, tmp_path / "run", "")
    create_before(monkeypatch, other)
    create_run(mine)
    assert mine.run.items() == [0, 1, 7]


def create_before(monkeypatch: pytest.MonkeyPatch, other: Job) -> None:
    """Lets another command make its run just before a run is locked for the first time."""
    lock = Run.lock

    def after_the_other_command(run: Run) -> AbstractContextManager[None]:
        monkeypatch.setattr(Run, "lock", lock)
        create_run(other)
        return run.lock()

    monkeypatch.setattr(Run, "lock", after_the_other_command)


@pytest.mark.parametrize(
    ("changes", "names"),
    [({"song": {}}, "song"), ({"seconds": 0.2}, "length"), ({"song": {}, "items": (7,)}, "song")],
)
def test_of_two_requests_at_once_the_later_is_refused(
    changes: dict[str, Any],
    names: str,
    request_: Request,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = start_job(request_, registry, tmp_path / "run", "")
    other = start_job(replace(request_, **changes), registry, tmp_path / "run", "")
    create_before(monkeypatch, other)
    message = f"{tmp_path}/run is a run with another {names}"
    assert refusal(create_run, mine) == (message, HINT)
    run = Run(tmp_path / "run")
    assert run.read_items(run.items()) == {item: other.specs[item] for item in other.items}


def test_of_two_seeds_at_once_the_later_is_refused(
    request_: Request, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = start_job(request_, registry, tmp_path / "run", "")
    other = start_job(replace(request_, seed=6, items=(7,)), registry, tmp_path / "run", "")
    create_before(monkeypatch, other)
    assert refusal(create_run, mine) == (f"{tmp_path}/run is a run with another seed", HINT)
    assert (Run(tmp_path / "run").items(), Run(tmp_path / "run").config.seed) == ([7], 6)


@pytest.mark.parametrize("items", [(0, 1), (1, 2)])
def test_equal_requests_at_once_share_a_run(
    items: tuple[int, ...],
    request_: Request,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = start_job(request_, registry, tmp_path / "run", "")
    other = start_job(replace(request_, items=items), registry, tmp_path / "run", "")
    create_before(monkeypatch, other)
    create_run(mine)
    assert mine.run.items() == sorted({0, 1, *items})


def test_a_folder_with_other_files_is_refused(
    request_: Request, registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").touch()
    message = f"{tmp_path} exists already and is not a run"
    assert refusal(start_job, request_, registry, tmp_path, "") == (message, "choose another --out")


def test_a_run_is_opened_with_some_of_its_items(
    request_: Request, tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = start_job(request_, registry, tmp_path / "run", "")
    create_run(job)
    again = reopen_job(tmp_path / "run", registry, "1")
    assert (again.items, again.specs, again.config) == ((1,), {1: job.specs[1]}, job.config)
    assert again.model.path == tiny.path


def test_a_built_in_model_is_named_without_its_folder(registry: Registry) -> None:
    config = new_config(find_model("mini"), registry, Request("mini", 1.0, (0,), 0, {}))
    assert config.model == "mini"


def test_a_run_of_other_recordings_is_refused(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    sounds = [write_chord(tmp_path / f"{name}.wav", 0.1) for name in "ab"]
    write_chord(sounds[1], 0.11)
    recordings = [Recording(sound, {"genre": ["rock"]}) for sound in sounds]
    run, codec = Run(tmp_path / "run"), load_codec(tiny, torch.device("cpu"))
    config = recording_run_config(run, tiny, registry, recordings)
    to_run(recordings, tiny, codec, run, config)
    assert recording_run_config(run, tiny, registry, recordings) == config
    for others in (recordings[:1], recordings[::-1], [Recording(sound, {}) for sound in sounds]):
        message, hint = refusal(recording_run_config, run, tiny, registry, others)
        assert (message, hint) == (f"{run.path} is a run with another audio", HINT)


def test_a_run_of_other_levels_than_its_model_is_refused(
    request_: Request, registry: Registry, tmp_path: Path
) -> None:
    job = start_job(request_, registry, tmp_path / "run", "")
    create_run(job)
    config = replace(job.config, hop_fraction=(0.5,), sampling=({},))
    job.run.write_config(config)
    message, hint = refusal(reopen_job, tmp_path / "run", registry, None)
    assert message == f"{tmp_path}/run/run.yaml is damaged: it is of 1 levels, its model of 3"
    assert hint == "restore it from a copy, or make it again"
