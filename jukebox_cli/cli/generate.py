"""generate: a run from a preset and options."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

import typer

from jukebox_cli.cli.job import begin_job, complete_job, new_job
from jukebox_cli.cli.option_groups import PluginOptions, with_option_groups
from jukebox_cli.cli.options import (
    ComputeOptions,
    OutputOptions,
    RequestOptions,
    ResultOptions,
)
from jukebox_cli.cli.plan import print_plan
from jukebox_cli.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(generate))


def generate(
    ctx: typer.Context,
    *,
    request: RequestOptions,
    result: ResultOptions,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what it takes, as `jukebox plan` does."),
    ] = False,
    compute: ComputeOptions,
    output: OutputOptions,
    plugins: PluginOptions,
) -> None:
    """Generate a song from its conditions."""
    from jukebox_cli.sampling.run_setup import create_run

    started = time.perf_counter()
    job = new_job(ctx.obj, request, plugins, compute, result, output)
    if dry_run and job.items:
        print_plan(job, result.until, started, output)
        return
    begin = partial(create_run, until=result.until.value)
    complete_job(begin_job(job, result, begin), result, output)
