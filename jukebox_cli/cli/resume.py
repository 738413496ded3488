"""resume: finish what commands have begun in a run."""

from __future__ import annotations

import typer

from jukebox_cli.cli.job import complete_job, prepare_job
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
    from jukebox_cli.sampling.intents import last_stage
    from jukebox_cli.storage.run import Run

    opened = Run(run)
    result = ResultOptions(Until(last_stage(opened, opened.intents.read())))
    job = resume_job(run, ctx.obj, model)
    complete_job(prepare_job(job, compute, result, output), result, output)
