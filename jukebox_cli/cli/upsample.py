"""upsample: the lower levels of a run."""

from __future__ import annotations

import typer

from jukebox_cli.cli.job import begin_job, complete_job, prepare_job
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.options import (
    ComputeOptions,
    ModelName,
    Only,
    OutputOptions,
    ResultOptions,
    RunFolder,
)
from jukebox_cli.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(upsample))


def upsample(
    ctx: typer.Context,
    *,
    run: RunFolder,
    only: Only = None,
    model: ModelName = None,
    result: ResultOptions,
    compute: ComputeOptions,
    output: OutputOptions,
) -> None:
    """Finish a run: sample its missing tokens, level by level, then decode them."""
    from jukebox_cli.sampling.intents import reopen_pending_job

    job = prepare_job(reopen_pending_job(run, ctx.obj, only, model), compute, result, output)
    complete_job(begin_job(job, result, lambda job: None), result, output)
