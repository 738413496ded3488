"""generate: a run from a preset and options."""

from __future__ import annotations

from pathlib import Path

import typer

from jukebox_cli.cli.job import build_request, complete_job, prepare_job
from jukebox_cli.cli.option_groups import PluginOptions, with_option_groups
from jukebox_cli.cli.options import (
    ComputeOptions,
    OutputOptions,
    RequestOptions,
    Until,
    UntilFlag,
)
from jukebox_cli.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(generate))


def generate(
    ctx: typer.Context,
    *,
    request: RequestOptions,
    until: UntilFlag = Until.audio,
    compute: ComputeOptions,
    output: OutputOptions,
    plugins: PluginOptions,
) -> None:
    """Generate a song from its conditions."""
    from jukebox_cli.sampling.run_setup import create_run, start_job

    wanted = build_request(ctx.obj, request, plugins)
    job = start_job(wanted, ctx.obj, request.out, _default_name(request, plugins))
    job = prepare_job(job, compute, until)
    create_run(job)
    complete_job(job, until, output)


def _default_name(request: RequestOptions, plugins: PluginOptions) -> str:
    """The name of a run without --out: that of its preset, genre or artist, or `song`."""
    if request.preset:
        return Path(request.preset).stem
    name = plugins.conditions.get("genre") or plugins.conditions.get("artist") or "song"
    return "".join(c if c.isalnum() else "-" for c in str(name).lower())
