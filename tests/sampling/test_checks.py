"""Jobs that can not be done are refused before anything is written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from jukebox_cli.model.condition_inputs import encode_window
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import checks
from jukebox_cli.sampling.checks import validate_job
from jukebox_cli.storage.model import Model
from support.jobs import CONFIG, NUM_SAMPLES, make_job
from support.results import refusal


def test_a_valid_job_passes(tiny: Model, registry: Registry, tmp_path: Path) -> None:
    validate_job(make_job(tmp_path / "run", tiny, registry, (0, 1)))
    assert not (tmp_path / "run").exists()


def test_conditions_of_every_segment_are_checked(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = make_job(tmp_path, tiny, registry, (0,))
    for conditions, problem in (
        ({"artist": "Nobody"}, "artist 'Nobody'"),
        ({"midi": []}, "model 'tiny' has no use for --midi"),
    ):
        longer = job.specs[0].extended(2 * NUM_SAMPLES, conditions=conditions)
        message, _ = refusal(validate_job, replace(job, specs={0: longer}))
        assert problem in message


@pytest.mark.parametrize(
    ("part", "until", "what"),
    [
        ("prior-0", "tokens", "no prior for level 0"),
        ("prior-2", "top", "no prior for level 2"),
        ("vqvae-1", "audio", "no vqvae for level 1"),
    ],
)
def test_needed_weights_that_are_missing_are_an_error(
    part: str, until: str, what: str, tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    model = Model(Path(shutil.copytree(tiny.path, tmp_path / "tiny")))
    model.weights(part).unlink()
    job = make_job(tmp_path / "run", model, registry, (0,))
    assert refusal(validate_job, job, until)[0] == f"model 'tiny' has {what}"
    if until != "top":
        validate_job(job, "top")


def test_a_run_needs_the_samplers_that_it_was_begun_with(
    tiny: Model, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, sampling=({}, {}, {"hush": 1.0}))
    job = make_job(tmp_path / "run", tiny, registry, (0,), config=config)
    what = f"{tmp_path / 'run'} is sampled with --hush, which no installed plugin has"
    hint = "install the plugin that has it, which the run was made with"
    assert refusal(validate_job, job) == (what, hint)
    assert refusal(job.make_samplers, 2, job.specs[0].segments[0]) == (what, hint)
    versions = {"jukebox": "0.1", **registry.versions, "jukebox-hush": "1.2", "acme": "3"}
    job = replace(job, config=replace(job.config, versions=versions))
    hint = "install jukebox-hush 1.2 or acme 3, which the run was made with"
    assert refusal(validate_job, job) == (what, hint)
    monkeypatch.setenv("JUKEBOX_BLOCK", "hush")
    assert refusal(validate_job, job) == (what, f"{hint}; JUKEBOX_BLOCK switches off hush")


@pytest.mark.parametrize(("num_items", "length"), [(1, 5000 * NUM_SAMPLES), (500, NUM_SAMPLES)])
def test_long_songs_and_many_items_are_checked_at_once(
    num_items: int,
    length: int,
    tiny: Model,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def encode(*args: object) -> object:
        calls.append(args)
        return encode_window(*args)  # type: ignore[arg-type]

    job = make_job(tmp_path / "run", tiny, registry, tuple(range(num_items)))
    conditions = job.specs[0].segments[0].conditions
    specs = {
        item: replace(
            spec, num_samples=length, segments=(replace(spec.segments[0], conditions=conditions),)
        )
        for item, spec in job.specs.items()
    }
    monkeypatch.setattr(checks, "encode_window", encode)
    validate_job(replace(job, specs=specs))
    assert 3 <= len(calls) <= 12  # a few of each level
