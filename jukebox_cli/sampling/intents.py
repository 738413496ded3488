"""Doing what the intents of a run say, and removing them when it is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.run_setup import record_intent, reopen_job
from jukebox_cli.sampling.weights import require_same_weights
from jukebox_cli.storage.documents import config_text
from jukebox_cli.storage.intents import STAGES, Intent
from jukebox_cli.storage.log_rows import read_events
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import ItemSpec


def relative_path(path: Path, start: Path) -> str:
    """A path as it is seen from a folder, with slashes."""
    return Path(os.path.relpath(path, start)).as_posix()


def reopen_pending_job(
    path: Path, registry: Registry, only: str | None = None, model: str | None = None
) -> Job:
    """As `reopen_job`, of a run whose items are what the commands that were interrupted there meant
    them to be; their tokens may be missing."""
    run = Run(path)
    if intents := run.intents.read():
        with run.lock():
            if not run.exists:
                record_intent(run, intents[0])
            apply_intents(reopen_job(path, registry, None, model))
    return reopen_job(path, registry, only, model)


def is_pending(job: Job) -> bool:
    """Whether a command that makes the job's items longer was begun, and is not complete."""
    intents = job.run.intents.read()
    return any(each.command == "continue" and set(each.items) & set(job.items) for each in intents)


def interrupted_intent(run: Run, items: Mapping[int, ItemSpec]) -> Intent | None:
    """The intent of an earlier command to begin these items, if it was interrupted."""
    for intent in run.intents.read() if run.exists else ():
        there = [intent.items.get(item) for item in items]
        if [_outline(each) for each in there] == [_outline(each) for each in items.values()]:
            return intent
    return None


def _outline(spec: ItemSpec | None) -> list[int]:
    """Where an item's segments end."""
    return [end for _, end in spec.spans()] if spec else []


def apply_intents(job: Job) -> None:
    """Does what the intents of a run say its items begin with, as far as that needs no recording.
    Call it within the run's lock."""
    for intent in job.run.intents.read():
        if not intent.audio:
            apply_intent(job, intent)
        elif all(_is_begun(job.run, intent, item) for item in intent.items):
            log_begun(job, intent)


def apply_intent(job: Job, intent: Intent) -> None:
    """Gives a run's items the files and tokens that an intent says they begin with. What is there
    stays. Call it within the run's lock."""
    for item in intent.items:
        if not _is_begun(job.run, intent, item):
            _copy_tokens(job, intent, item)
            job.run.write_item(item, intent.items[item])
    log_begun(job, intent)


def _is_begun(run: Run, intent: Intent, item: int) -> bool:
    wanted = intent.items[item]
    return run.has_item(item) and len(run.item(item).segments) >= len(wanted.segments)


def _copy_tokens(job: Job, intent: Intent, item: int) -> None:
    """Gives an item the tokens that its last segment follows, but for those of a last top-level
    token that is partly of silence."""
    run, codec = job.run, job.model.config.vqvae
    source = Run(run.path / intent.source)
    if intent.source != ".":
        run.delete_tokens(item)  # of an interrupted command, maybe of another request
    if not intent.source:
        return
    num_samples = intent.items[item].segments[-1].first_sample
    for level in source.levels_with_tokens(item):
        length = job.grid.num_whole_tokens(level, num_samples)
        if intent.source == ".":
            run.shorten_tokens(level, item, length, codec)
        elif (tokens := source.read_tokens(level, item)) is not None:
            run.write_tokens(level, item, tokens[:length], codec)


def log_begun(job: Job, intent: Intent) -> None:
    """Writes what an intent says into the run's log, unless it is there."""
    name = intent.name
    rows = read_events(job.run.log_file)
    if intent.event and not any(row.get("intent") == name for row in rows):
        job.log_event(**intent.event, intent=name)


def record_completion(job: Job, until: str) -> None:
    """Records that the job's items are to be made as far as `until` (top, tokens, audio), unless
    they are, or a command that is not complete has recorded so. Raises InputError, and writes
    nothing, for tokens of a recording that are gone or weights that changed."""
    run = job.run
    for level in job.incomplete_levels(until):
        items = job.incomplete_items(level)
        run.require_recorded_tokens(level, [i for i in items if job.specs[i].prompt])
        require_same_weights(job, level, items)
    if all(job.is_complete(item, until) for item in job.items):
        return
    with run.lock():
        planned = items_by_stage(run.intents.read())
        covered = {i for stage in STAGES[STAGES.index(until) :] for i in planned.get(stage, ())}
        items = [i for i in job.items if i not in covered and not job.is_complete(i, until)]
        if items:
            specs = run.read_items(items)
            run.intents.write(Intent("upsample", until, config_text(job.config), specs, "."))


def record_decoding(job: Job, items: Iterable[int], level: int, suffix: str) -> None:
    """Records that items are to be decoded at a level, to files with a suffix."""
    with job.run.lock():
        intent = Intent("decode", "audio", config_text(job.config), job.run.read_items(items), ".")
        job.run.intents.write(replace(intent, level=level, audio_format=suffix))


def settle_intents(job: Job) -> None:
    """Removes the intents of which all is done. It is the last thing that a command does."""
    for intent in job.run.intents.read():
        if _is_complete(job, intent):
            job.run.intents.remove(intent)


def _is_complete(job: Job, intent: Intent) -> bool:
    run = job.run
    if not all(_is_begun(run, intent, item) for item in intent.items):
        return False
    if intent.command == "decode":
        to = (intent.level, intent.audio_format)
        return all(run.has_audio(item, *to) for item in intent.items)
    items = tuple(intent.items)
    whole = replace(job, items=items, specs=run.read_items(items))
    return all(whole.is_complete(item, intent.until) for item in items)


def items_by_stage(intents: Iterable[Intent]) -> dict[str, list[int]]:
    """The items that commands which are not complete make, by how far (top, tokens, audio)."""
    furthest: dict[int, int] = {}
    for intent in intents:
        for item in intent.items if intent.command != "decode" else ():
            furthest[item] = max(furthest.get(item, 0), STAGES.index(intent.until))
    stages = sorted(set(furthest.values()))
    return {STAGES[n]: sorted(i for i, each in furthest.items() if each == n) for n in stages}


def last_stage(run: Run) -> str:
    """How far the items of a run are made (top, tokens, audio)."""
    stages = [0]
    for item in run.items():
        if run.audio_file(item).exists():
            stages.append(2)
        elif run.token_file(0, item).exists():
            stages.append(1)
    return STAGES[max(stages)]
