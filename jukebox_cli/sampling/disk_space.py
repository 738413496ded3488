"""The disk that a job takes, and whether there is so much."""

from __future__ import annotations

import shutil
from pathlib import Path

from jukebox_cli.interfaces.command_options import format_bytes
from jukebox_cli.interfaces.errors import FULL_DISK_HINT, InputError
from jukebox_cli.sampling.job import Job

#: Bytes of a token and of a sample of audio on disk.
TOKEN_BYTES, SAMPLE_BYTES = 2, 2
#: About the bytes of the header of a token file or of audio, and of run.yaml and log.jsonl.
HEADER_BYTES, RUN_BYTES = 300, 3000


def require_disk(job: Job, until: str) -> None:
    """Raises InputError if what a job lacks does not fit on the disk of its run."""
    require_disk_space(job.run.path, missing_disk_bytes(job, until))


def require_disk_space(path: Path, needed: int) -> None:
    """Raises InputError if so many bytes do not fit on the disk of a file or folder that may be
    there."""
    absolute = path.absolute()
    folder = next(each for each in (absolute, *absolute.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    if needed > free:
        what = f"{path} needs {format_bytes(needed)} of disk, {format_bytes(free)} are free"
        raise InputError(what, FULL_DISK_HINT)


def disk_bytes(job: Job, until: str) -> int:
    """About the bytes of the job's items when they are complete until `until`."""
    lowest = job.top_level if until == "top" else 0
    total = RUN_BYTES
    for item in job.items:
        total += len(job.specs[item].text)
        for level in range(lowest, job.grid.num_levels):
            total += HEADER_BYTES + TOKEN_BYTES * job.num_tokens(level, item)
        if until == "audio":
            total += HEADER_BYTES + SAMPLE_BYTES * job.num_samples(item)
    return total


def missing_disk_bytes(job: Job, until: str) -> int:
    """About the bytes that a job adds to its run."""
    tokens = sum(
        job.num_missing_tokens(level, item)
        for level in job.incomplete_levels(until)
        for item in job.items
    )
    lacking = [item for item in job.items if until == "audio" and not job.run.has_audio(item, 0)]
    samples = sum(job.num_samples(item) for item in lacking)
    return TOKEN_BYTES * tokens + SAMPLE_BYTES * samples
