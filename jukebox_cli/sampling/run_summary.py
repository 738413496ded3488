"""The contents and progress of a run, read from its files without loading weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.run_setup import reopen_job
from jukebox_cli.sampling.slices import num_known_tokens
from jukebox_cli.storage.run import Run


@dataclass(frozen=True)
class RunSummary:
    """A row of `jukebox run list`."""

    path: Path
    model: str  # its name
    items: tuple[int, ...]
    seconds: tuple[float, ...]  # the length of each item
    progress: str  # from `describe_progress`, or the error that prevented it
    num_bytes: int  # of all files in the folder


def summarize_run(run: Run, registry: Registry) -> RunSummary:
    """The summary of a run. Raises InputError if its files are damaged."""
    specs = run.read_items(run.items())
    try:
        progress = describe_progress(reopen_job(run.path, registry, None))
    except InputError as error:  # its model is missing, for instance
        progress = error.message
    return RunSummary(
        run.path,
        Path(run.config.model).name,
        tuple(specs),
        tuple(round(spec.num_samples / run.config.sample_rate, 3) for spec in specs.values()),
        progress,
        sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file()),
    )


def describe_progress(job: Job) -> str:
    """The last complete stage of a run (`level 2`, `tokens`, `audio`), or a level that is partly
    sampled with its percentage: `level 1: 40 %`."""
    if not job.items:
        return "empty"
    for level in range(job.top_level, -1, -1):
        sampled = sum(num_known_tokens(job, level, item) for item in job.items)
        total = sum(job.num_tokens(level, item) for item in job.items)
        if job.incomplete_items(level):
            is_started = sampled > 0 or level == job.top_level
            return (
                f"level {level}: {100 * sampled // total} %" if is_started else f"level {level + 1}"
            )
    return "audio" if all(job.run.has_audio(item, 0) for item in job.items) else "tokens"
