"""Fingerprints of weights are recorded with items, and other weights do not finish an item."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.sampling.weights import record_prior_fingerprints
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from support.jobs import make_job, tokens_on_disk
from support.results import refusal


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Job:
    job = make_job(tmp_path / "run", tiny, registry, (1,))
    create_run(job)
    return job


@pytest.fixture
def trained_on(tiny: Model, tmp_path: Path) -> Model:
    """A copy of the model whose top prior was trained on."""
    other = Model(Path(shutil.copytree(tiny.path, tmp_path / "tiny")))
    path = other.weights("prior-2")
    save_tensors(path, {name: tensor + 1e-3 for name, tensor in load_tensors(path).items()})
    return other


def fingerprints(job: Job) -> list[tuple[str | None, ...]]:
    return [segment.prior_fingerprints for segment in job.run.item(1).segments]


def write_part(job: Job, num_tokens: int) -> None:
    job.run.write_tokens(2, 1, np.zeros(num_tokens, np.int64), job.model.config.vqvae)


def test_a_new_item_names_the_weights(job: Job, tiny: Model) -> None:
    assert fingerprints(job) == [tuple(tiny.prior_fingerprint(level) for level in range(3))]


def test_weights_are_recorded_again_until_a_segment_is_started(job: Job, trained_on: Model) -> None:
    other, before = replace(job, model=trained_on), fingerprints(job)
    again = record_prior_fingerprints(other, [2])
    assert fingerprints(job) == [(*before[0][:2], trained_on.prior_fingerprint(2))]
    assert again.specs[1] == job.run.item(1)
    write_part(job, 30)
    record_prior_fingerprints(job, [2])
    assert fingerprints(job)[0][2] == trained_on.prior_fingerprint(2)


def test_only_segments_that_are_not_started_are_recorded(job: Job, trained_on: Model) -> None:
    write_part(job, 99)
    longer = job.specs[1].extended(2000)
    job.run.write_item(1, longer)
    record_prior_fingerprints(replace(job, model=trained_on, specs={1: longer}), [2])
    found = [each[2] for each in fingerprints(job)]
    assert found == [job.model.prior_fingerprint(2), trained_on.prior_fingerprint(2)]


def test_an_item_is_not_finished_with_other_weights(job: Job, trained_on: Model) -> None:
    write_part(job, 30)
    assert refusal(pipeline.complete_run, replace(job, model=trained_on), "tokens") == (
        f"item 1 of {job.run.path} was begun at level 2 with other weights of prior-2 than 'tiny' "
        "has now",
        "make it anew in another --out, or name a model that has them: --model",
    )
    pipeline.complete_run(job, "tokens")  # those it was begun with


def test_a_complete_item_of_other_weights_is_kept_with_a_warning(
    job: Job, trained_on: Model
) -> None:
    pipeline.complete_run(job, "tokens")
    before = tokens_on_disk(job)
    message = "was sampled with other weights of prior-2 and stays as it is"
    with pytest.warns(InputWarning, match=message):
        pipeline.complete_run(replace(job, model=trained_on), "tokens")
    assert tokens_on_disk(job) == before
