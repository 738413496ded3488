"""Continued runs: their segments, and runs that are finished instead."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.continuation import (
    extend,
    from_recording,
    plan_extension,
    prime_with_recording,
)
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.pipeline import complete_run
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import create_run, hash_recording, reopen_job
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import ItemSpec, Parent, Prompt
from support.jobs import CONFIG, NUM_SAMPLES, SONG, make_job, tokens_on_disk
from support.results import refusal
from support.run_files import write_chord


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Job:
    """A run of two items with tokens at the top level."""
    config = replace(CONFIG, model=str(tiny.path), fingerprint=tiny.fingerprint())
    job = make_job(tmp_path / "run", tiny, registry, (0, 1), config=config)
    create_run(job)
    sample_level(job, 2)
    return replace(job, specs=job.run.read_items(job.items))


def plan(job: Job, out: Path | None = None, seed: int | None = None, **given: object) -> Job:
    return plan_extension(job, 0.1, given, seed, out, audio=False)


def test_an_extension_is_a_segment_of_its_own(job: Job) -> None:
    before = tokens_on_disk(job)
    more = plan(job, seed=9, genre="jazz")
    assert job.run.read_items((0, 1)) == job.specs  # nothing is written yet
    extend(job, more)
    for item in (0, 1):
        spec = job.run.item(item)
        assert (spec.num_samples, spec.beginning(1)) == (NUM_SAMPLES + 800, job.specs[item])
        added = spec.segments[1]
        assert (added.first_sample, added.seed) == (NUM_SAMPLES, 9)
        assert added.conditions == {**SONG, "genre": ["jazz"]}
        assert (added.parent, added.hop_fraction) == (None, CONFIG.hop_fraction)
        # the last token was partly of silence, and is sampled again
        assert tokens_on_disk(job)[2, item] == before[2, item][:99]
    assert Run(job.run.path).config.seed == 7


def test_without_a_seed_the_last_one_is_kept(job: Job) -> None:
    for seed in (9, None):
        again = reopen_job(job.run.path, job.registry, None)
        extend(again, plan(again, seed=seed))
        sample_level(reopen_job(job.run.path, job.registry, None), 2)
        job.run.intents.remove_all()
    assert [segment.seed for segment in job.run.item(0).segments] == [7, 9, 9]


def test_a_copy_names_its_parent(job: Job, tmp_path: Path) -> None:
    before = tokens_on_disk(job)
    more = plan(job, tmp_path / "copy")
    extend(job, more)
    spec = Run(tmp_path / "copy").item(1)
    assert spec.segments[0] == job.specs[1].segments[0]
    assert spec.segments[1].parent == Parent("../run", 1, NUM_SAMPLES)
    assert tokens_on_disk(job) == before
    assert job.run.read_items((0, 1)) == job.specs
    assert more.run.config == job.config


def stop_at_item(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Interrupts the next command where it writes an item's file."""
    write_item = Run.write_item

    def stop(run: Run, item: int, spec: ItemSpec) -> None:
        if item == number:
            monkeypatch.setattr(Run, "write_item", write_item)
            raise KeyboardInterrupt
        write_item(run, item, spec)

    monkeypatch.setattr(Run, "write_item", stop)


def test_a_copy_that_was_interrupted_is_a_run_that_the_same_command_completes(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Run(tmp_path / "copy")
    stop_at_item(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        extend(job, plan(job, copy.path))
    assert (copy.items(), copy.exists) == ([0], True)
    copy.write_tokens(0, 1, np.zeros(9, np.int64), job.model.config.vqvae)  # the run has none
    extend(job, plan(job, copy.path))
    assert copy.items() == [0, 1]
    assert [copy.levels_with_tokens(item) for item in (0, 1)] == [[2], [2]]


def test_an_empty_condition_takes_it_away_with_a_warning(job: Job) -> None:
    with pytest.warns(InputWarning) as caught:
        more = plan(job, artist="")
    assert [str(each.message) for each in caught] == [
        "--artist is empty: the song goes on without it"
    ]
    assert more.song(0) == {**SONG, "artist": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan(job, lyrics="")  # there are none


def test_an_incomplete_run_is_finished_first(job: Job, tmp_path: Path) -> None:
    job.run.write_tokens(2, 1, np.zeros(3, np.int64), job.model.config.vqvae)
    assert plan(job) is job
    assert refusal(plan, job, tmp_path / "copy") == (
        f"{job.run.path} is incomplete",
        f"finish it first: `jukebox upsample {job.run.path}`; or copy what is complete: --only 0",
    )


def test_a_run_without_tokens_is_incomplete(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "run", tiny, registry, (0,))
    create_run(job)
    assert plan(job) is job


def request(model: Model, **changes: object) -> Request:
    return replace(Request(str(model.path), 0.1, (0, 1), 5, SONG), **changes)  # type: ignore[arg-type]


def test_a_recording_becomes_a_prompt(tiny: Model, registry: Registry, tmp_path: Path) -> None:
    sound, out = write_chord(tmp_path / "a.wav", 0.2003), tmp_path / "run"
    job = from_recording(request(tiny), tiny, registry, sound, None, out)
    assert not out.exists()
    prime_with_recording(job, sound)
    spec = Run(out).item(1)
    assert spec.prompt == Prompt(hash_recording(sound), 1600)
    assert [(s.first_sample, s.seed, s.conditions) for s in spec.segments] == [
        (0, 5, SONG),
        (1600, 5, SONG),
    ]
    assert spec.segments[0].prior_fingerprints == (None, None, None)
    assert {key: len(t) for key, t in tokens_on_disk(job).items() if key[1] == 1} == {
        (0, 1): 400,
        (1, 1): 200,
        (2, 1): 100,
    }
    complete_run(job, "tokens")
    assert len(tokens_on_disk(job)[0, 1]) == 600


def test_only_the_samples_of_a_prompt_are_encoded(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    sound = write_chord(tmp_path / "a.wav", 0.3)
    tokens = []
    for prime in (0.2, 0.2005, 0.2019):  # 16 samples, 0.002 s, are a token of the top level
        out = tmp_path / f"run-{prime}"
        job = from_recording(request(tiny), tiny, registry, sound, prime, out)
        prime_with_recording(job, sound)
        prompt = job.run.item(0).prompt
        assert prompt is not None
        assert prompt.num_samples == 1600
        tokens.append(tokens_on_disk(job))
    assert tokens[0] == tokens[1] == tokens[2]


def test_a_run_of_another_recording_is_refused(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    sound, out = write_chord(tmp_path / "a.wav", 0.2), tmp_path / "run"
    prime_with_recording(from_recording(request(tiny), tiny, registry, sound, None, out), sound)
    other = write_chord(tmp_path / "b.wav", 0.21)
    for path, prime in ((other, 0.2), (sound, 0.1)):
        shorter = request(tiny, items=(2,), seconds=0.3 - prime)
        message, _ = refusal(from_recording, shorter, tiny, registry, path, prime, out)
        assert message == f"{out} is a run with another audio"


def test_a_recording_whose_command_was_interrupted_is_a_run_that_it_completes(
    tiny: Model, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, out = write_chord(tmp_path / "a.wav", 0.2), Run(tmp_path / "run")
    first = from_recording(request(tiny), tiny, registry, sound, None, out.path)
    stop_at_item(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        prime_with_recording(first, sound)
    assert (out.items(), out.exists) == ([0], True)
    again = from_recording(request(tiny), tiny, registry, sound, None, out.path)
    prime_with_recording(again, sound)
    assert out.read_items((0, 1)) == again.specs


def test_items_without_a_run_are_refused(
    job: Job, tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    sound, out = write_chord(tmp_path / "a.wav", 0.2), Run(tmp_path / "out")
    out.write_item(7, job.specs[0])  # as an interrupted `tokenize` leaves it
    message = f"{out.path} has items but no run.yaml: a command was interrupted there"
    assert refusal(plan, job, out.path)[0] == message
    words = (request(tiny), tiny, registry, sound, None, out.path)
    assert refusal(from_recording, *words)[0] == message


def test_a_recording_that_is_shorter_than_its_header_says(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    sound = write_chord(tmp_path / "a.wav", 0.2)
    job = from_recording(request(tiny), tiny, registry, sound, None, tmp_path / "run")
    shorter = write_chord(tmp_path / "a.wav", 0.1)
    assert refusal(prime_with_recording, job, shorter) == (
        f"{shorter} is shorter than its header says: 0.100 s",
        "use only what is there: --prime SECONDS",
    )
    assert not (tmp_path / "run").exists()
