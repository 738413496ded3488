"""generate: a run from a preset and options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from jukebox_cli.cli.job import build_request, complete_job, prepare_job
from jukebox_cli.cli.option_groups import PluginOptions, with_option_groups
from jukebox_cli.cli.options import (
    ComputeOptions,
    OutputOptions,
    RequestOptions,
    ResultOptions,
)
from jukebox_cli.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(generate))


def generate(
    ctx: typer.Context,
    *,
    request: RequestOptions,
    result: ResultOptions,
    compute: ComputeOptions,
    output: OutputOptions,
    plugins: PluginOptions,
) -> None:
    """Generate a song from its conditions."""
    from jukebox_cli.sampling.run_setup import create_run, start_job

    wanted = build_request(ctx.obj, request, plugins)
    job = start_job(
        wanted, ctx.obj, request.out, _default_name(request.preset, plugins.conditions, ctx.obj)
    )
    job = prepare_job(job, compute, result, output)
    create_run(job)
    complete_job(job, result, output)


def _default_name(preset: str | None, conditions: Mapping[str, Any], registry: Registry) -> str:
    """The name of a run without --out: that of its preset, or the conditions that are words of a
    vocabulary, such as `ada-vale-rock`, or `song`."""
    if preset:
        return Path(preset).stem
    labels = registry.vocabulary({name: {} for name in registry.conditioners})
    words = "-".join(str(value) for option, value in conditions.items() if option in labels)
    return "".join(c if c.isalnum() else "-" for c in words.lower()) or "song"
