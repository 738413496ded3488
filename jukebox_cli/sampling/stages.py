"""The stages of a job: what a progress bar is shown for."""

from __future__ import annotations

from typing import NamedTuple

from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.slices import num_known_tokens

#: How fast audio is taken to be decoded before any was: so many times as fast as it plays.
ASSUMED_DECODING_SPEED = 30


class Stage(NamedTuple):
    """What a job has still to do under one name."""

    name: str
    num_steps: int  # tokens, or samples of audio
    assumed_rate: float | None = None  # steps per second, before any is done; None: like the others


def level_stage(level: int) -> str:
    """The name of sampling a level."""
    return f"level {level}"


def decode_stage(level: int) -> str:
    """The name of decoding a level."""
    return f"decode {level}"


def num_missing_tokens(job: Job, level: int) -> int:
    """Tokens that a job's items lack at a level, those of half-sampled slices as a share of what is
    sampled for them."""
    items = job.incomplete_items(level)
    return sum(job.num_tokens(level, i) - num_known_tokens(job, level, i) for i in items)


def job_stages(job: Job, until: str) -> list[Stage]:
    """The stages that a job lacks until `until` (top, tokens, audio), in order."""
    stages = [
        Stage(level_stage(level), num_missing_tokens(job, level))
        for level in job.incomplete_levels(until)
    ]
    missing = [item for item in job.items if not job.run.has_audio(item, 0)]
    if until == "audio" and missing:
        num_samples = sum(map(job.num_samples, missing))
        rate = ASSUMED_DECODING_SPEED * job.config.sample_rate
        stages.append(Stage(decode_stage(0), num_samples, rate))
    return stages
