"""resume: finish what commands have begun in a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from jukebox_cli.cli.console import progress
from jukebox_cli.cli.job import finish_job, prepare_job, print_run, with_compute_options
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.options import (
    ComputeOptions,
    ModelName,
    OutputOptions,
    ResultOptions,
    RunFolder,
    Until,
)
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.sampling.job import Job
    from jukebox_cli.storage.intents import Intent


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(resume))


def resume(
    ctx: typer.Context,
    *,
    run: RunFolder,
    model: ModelName = None,
    compute: ComputeOptions,
    output: OutputOptions,
) -> None:
    """Finish what interrupted commands have begun in a run.

    What they were asked for is recorded in the run: items, lengths, conditions, and how far to go.
    """
    from jukebox_cli.sampling.continuation import resume_job
    from jukebox_cli.sampling.intents import items_by_stage, last_stage
    from jukebox_cli.storage.run import Run

    intents = Run(run).intents.read()
    job = resume_job(run, ctx.obj, model)
    items = items_by_stage(intents) if intents else {last_stage(job.run): job.items}
    audio: list[str] = []
    for until, own in items.items():
        result = ResultOptions(Until(until))
        part = prepare_job(replace(job, items=own), compute, result, output)
        audio += finish_job(part, result, output)
    for intent in intents:
        if intent.command == "decode":
            audio += _decode(with_compute_options(job, compute), intent, output)
    print_run(job, audio, output)


def _decode(job: Job, intent: Intent, output: OutputOptions) -> list[str]:
    from jukebox_cli.sampling.decode import decode_run

    with progress(output.quiet) as bar:
        mine = replace(job, items=tuple(intent.items), progress=bar)
        return decode_run(mine, intent.level, intent.audio_format)
