"""What commands were to do is done from the record alone, and the record is removed then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.continuation import (
    OutdatedPlanError,
    extend,
    from_recording,
    plan_extension,
    prime_with_recording,
    resume_job,
)
from jukebox_cli.sampling.intents import (
    is_pending,
    items_by_stage,
    last_stage,
    record_completion,
    record_decoding,
    reopen_pending_job,
    settle_intents,
)
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.pipeline import complete_run
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.jobs import CONFIG, make_job, tokens_on_disk
from support.results import refusal
from support.run_files import write_chord


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Job:
    """A complete run of two items, without audio."""
    config = replace(CONFIG, model=str(tiny.path), fingerprint=tiny.fingerprint())
    job = make_job(tmp_path / "run", tiny, registry, (0, 1), config=config)
    create_run(job, "tokens")
    complete_run(job, "tokens")
    settle_intents(job)
    return replace(job, specs=job.run.read_items(job.items))


def plan(job: Job, out: Path | None = None, seed: int | None = None) -> Job:
    return plan_extension(job, 0.1, {}, seed, out, audio=False)


def events(run: Run) -> list[str]:
    return [line for line in run.log_file.read_text().splitlines() if '"continue"' in line]


def test_an_intent_is_there_until_all_is_done(job: Job) -> None:
    assert job.run.intents.read() == []
    more = plan(job)
    extend(job, more, "tokens")
    (intent,) = job.run.intents.read()
    assert (intent.command, intent.until, intent.items) == ("continue", "tokens", more.specs)
    assert is_pending(job)
    assert not is_pending(replace(job, items=(7,)))
    settle_intents(more)
    assert job.run.intents.read() == [intent]
    complete_run(more, "tokens")
    settle_intents(more)
    assert job.run.intents.read() == []


@pytest.mark.parametrize("copied", [False, True])
def test_the_record_alone_is_enough(job: Job, copied: bool, tmp_path: Path) -> None:
    out = tmp_path / "copy" if copied else None
    more = plan(job, out)
    extend(job, more)
    expected = tokens_on_disk(more)
    (more.run.path / "items/item-01.json").unlink()  # as if it was killed before that
    if copied:
        (more.run.path / "run.yaml").unlink()
    again = reopen_pending_job(more.run.path, job.registry)
    assert again.specs == more.specs
    assert again.config == job.config
    assert tokens_on_disk(again) == expected
    assert len(events(more.run)) == 1


def test_a_run_is_not_extended_by_a_plan_that_is_outdated(job: Job) -> None:
    one, other = plan(job), plan(job, seed=9)
    extend(job, one)
    before = tokens_on_disk(job)
    with pytest.raises(OutdatedPlanError):
        extend(job, other)
    assert (job.run.read_items((0, 1)), tokens_on_disk(job)) == (one.specs, before)
    complete_run(one, "tokens")
    for intent in job.run.intents.read():
        job.run.intents.remove(intent)
    with pytest.raises(OutdatedPlanError):
        extend(job, other)


def test_of_two_copies_into_one_folder_the_later_is_refused(job: Job, tmp_path: Path) -> None:
    one, other = plan(job, tmp_path / "copy"), plan(job, tmp_path / "copy", seed=9)
    extend(job, one)
    hint = "choose another folder with --out, or ask for the same as before"
    assert refusal(extend, job, other) == (f"{tmp_path}/copy is a run with another seed", hint)
    assert one.run.read_items((0, 1)) == one.specs


def test_tokens_of_a_recording_are_encoded_again(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    sound = write_chord(tmp_path / "sound.wav", 0.2)
    request = Request(str(tiny.path), 0.1, (0, 1), 3, {})
    job = from_recording(request, tiny, registry, sound, None, tmp_path / "run")
    prime_with_recording(job, sound, "top")
    expected = tokens_on_disk(job)
    (job.run.path / "items/item-01.json").unlink()
    resumed = resume_job(job.run.path, registry)
    assert (tokens_on_disk(resumed), resumed.specs) == (expected, job.specs)
    assert job.run.log_file.read_text().count('"primed"') == 1

    (job.run.path / "items/item-01.json").unlink()
    write_chord(sound, 0.3)
    assert refusal(resume_job, job.run.path, registry) == (
        f"{sound} is not the recording that {job.run.path} begins with",
        "restore that file, or choose another --out",
    )


def test_a_run_is_finished_as_far_as_commands_meant_to(job: Job) -> None:
    assert last_stage(job.run) == "tokens"
    extend(job, plan(replace(job, items=(1,))), "audio")
    record_completion(job, "audio")
    record_completion(job, "audio")
    continued, completed = job.run.intents.read()
    assert (continued.command, list(continued.items)) == ("continue", [1])
    assert (completed.command, list(completed.items)) == ("upsample", [0])
    assert items_by_stage([continued, replace(completed, until="top")]) == {
        "top": [0],
        "audio": [1],
    }
    record_decoding(job, (0, 1), 1, "flac")
    assert items_by_stage(job.run.intents.read()) == {"audio": [0, 1]}
    assert last_stage(Run(job.run.path / "none")) == "top"
    job.run.audio_file(0).parent.mkdir()
    job.run.audio_file(0).touch()
    assert last_stage(job.run) == "audio"
