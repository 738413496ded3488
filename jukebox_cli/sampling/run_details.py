"""The contents of a run's items: the data and the text of `jukebox run show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.run_setup import reopen_job
from jukebox_cli.sampling.run_summary import describe_progress
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import Segment


def run_details(run: Run, registry: Registry) -> dict[str, Any]:
    """A run as JSON: its model, and each item's length, progress and segments.

    Progress is None if the model is missing. Raises InputError if the folder is not a run or is
    damaged.
    """
    config = run.config
    try:
        job: Job | None = reopen_job(run.path, registry, None)
    except InputError:
        job = None
    return {
        "run": str(run.path),
        "model": Path(config.model).name,
        "fingerprint": config.fingerprint,
        "sample_rate": config.sample_rate,
        "items": [_item(run, item, job) for item in run.items()],
        "versions": config.versions,
    }


def _item(run: Run, item: int, job: Job | None) -> dict[str, Any]:
    spec = run.item(item)
    return {
        "item": item,
        "seconds": _seconds(run, spec.num_samples),
        "progress": describe_progress(replace(job, items=[item])) if job else None,
        "segments": [_segment(run, segment, end) for segment, end in spec.spans()],
    }


def _segment(run: Run, segment: Segment, end: int) -> dict[str, Any]:
    """A segment as JSON, with its start and end in seconds instead of its first sample."""
    data = asdict(segment)
    return {"seconds": [_seconds(run, data.pop("first_sample")), _seconds(run, end)], **data}


def _seconds(run: Run, samples: int) -> float:
    return round(samples / run.config.sample_rate, 3)


def run_text(details: Mapping[str, Any], registry: Registry) -> str:
    """The details as lines for a terminal."""
    lines = [f"{details['run']}: model {details['model']}, {details['sample_rate']} Hz"]
    for item in details["items"]:
        progress = f", {item['progress']}" if item["progress"] else ""
        lines.append(f"item {item['item']}: {item['seconds']:g} s{progress}")
        for segment in item["segments"]:
            lines += [f"  {line}" for line in _segment_lines(segment, registry)]
    return "\n".join(lines)


def _segment_lines(segment: Mapping[str, Any], registry: Registry) -> Iterator[str]:
    start, end = segment["seconds"]
    yield f"{start:g} to {end:g} s: {_origin(segment)}"
    for label, text in _describe_conditions(segment["conditions"], registry).items():
        yield f"  {label}: {text}"
    levels: Sequence[Mapping[str, Any]] = segment["sampling"]
    plans = segment["slices"] or [None] * len(levels)
    for level, (options, hop_fraction, plan) in enumerate(
        zip(levels, segment["hop_fraction"], plans, strict=True)
    ):
        named = "".join(f", {name} {value}" for name, value in options.items())
        slices = f", {plan['count']} slices" if plan else ""
        yield f"  level {level}: hop_fraction {hop_fraction:g}{named}{slices}"


def _origin(segment: Mapping[str, Any]) -> str:
    """Where the tokens of a segment come from: a recording, or sampling with a seed."""
    if prompt := segment["prompt"]:
        return f"recording {prompt['name'] or prompt['audio_hash']}"
    seed = f"seed {segment['seed']}"
    if parent := segment["parent"]:
        return f"{seed}, continues item {parent['item']} of {parent['run']}"
    return seed


def _describe_conditions(song: Song, registry: Registry) -> dict[str, str]:
    """The conditions as their conditioners describe them: label -> text."""
    descriptions: dict[str, str] = {}
    for name in registry.conditioners:
        descriptions |= registry.make_conditioner(name, {}).describe(song)
    return descriptions
