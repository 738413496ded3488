"""plan: what a song takes before it is made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from jukebox_cli.cli.console import format_duration, print_note, print_result
from jukebox_cli.cli.job import new_job
from jukebox_cli.cli.option_groups import PluginOptions, with_option_groups
from jukebox_cli.cli.options import (
    ComputeOptions,
    OutputOptions,
    RequestOptions,
    ResultOptions,
    Until,
    UntilFlag,
)
from jukebox_cli.interfaces.command_options import format_bytes, pluralize
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.sampling.job import Job
    from jukebox_cli.sampling.plan import Plan
    from jukebox_cli.sampling.projection import Projection


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(plan))


def plan(
    ctx: typer.Context,
    *,
    request: RequestOptions,
    until: UntilFlag = Until.audio,
    compute: ComputeOptions,
    output: OutputOptions,
    plugins: PluginOptions,
) -> None:
    """Say how much time, memory and disk a song takes, without making it.

    Takes the options of `generate`, samples for a moment, and writes nothing.
    """
    started = time.perf_counter()
    job = new_job(ctx.obj, request, plugins, compute, ResultOptions(until), output)
    print_plan(job, until, started, output)


def print_plan(job: Job, until: Until, started: float, output: OutputOptions) -> None:
    """Prints what a job takes. started: when the command began, of `time.perf_counter`."""
    from jukebox_cli.sampling.plan import plan_job

    def note(stage: str) -> None:
        print_note(f"measuring {stage}", output.quiet)

    data = _data(job, plan_job(job, until.value, started, note))
    print_result(data, "\n".join(_lines(data)), output.as_json)


def _data(job: Job, planned: Plan) -> dict[str, Any]:
    from jukebox_cli.sampling.stages import num_missing_tokens

    levels = {
        str(level): {
            "tokens": num_missing_tokens(job, level),
            **asdict(speed.settings),
            "tokens_per_second": round(planned.tokens_per_second(level), 1),
            "seconds": round(planned.projection.levels[level], 2),
        }
        for level, speed in planned.levels.items()
    }
    return {
        "run": str(job.run.path),
        "items": list(job.items),
        "audio_seconds": round(max(map(job.num_samples, job.items)) / job.config.sample_rate, 2),
        "levels": levels,
        **projection_data(planned.projection),
        "memory": planned.memory,
        "device_memory": planned.device_memory,
        "disk": planned.disk,
    }


def projection_data(projection: Projection) -> dict[str, Any]:
    """The times of a projection as JSON: `seconds`, `first_sound` and `stages`."""
    first = projection.first_sound
    return {
        "seconds": round(projection.total, 2),
        "first_sound": None if first is None else round(first, 2),
        "stages": {name: round(value, 2) for name, value in asdict(projection.stages).items()},
    }


def _lines(data: dict[str, Any]) -> Iterator[str]:
    audio = format_duration(data["audio_seconds"])
    items = f"{pluralize(len(data['items']), 'item')} of {audio}"
    yield f"{data['run']}: {items}, in about {format_duration(data['seconds'])}"
    for level, each in data["levels"].items():
        settings = f"{each['engine']}, {each['precision']}"
        speed = f"{pluralize(each['tokens'], 'token')} at {each['tokens_per_second']:,.0f} tokens/s"
        yield f"level {level}: {speed} ({settings}), {format_duration(each['seconds'])}"
    yield from projection_lines(data)
    yield f"memory: {memory_text(data['memory'], data['device_memory'])}"
    yield f"disk: {format_bytes(data['disk'])}"


def projection_lines(data: dict[str, Any]) -> Iterator[str]:
    """The stages and the first sound of `projection_data`, as text."""
    stages = ", ".join(f"{name} {format_duration(each)}" for name, each in data["stages"].items())
    yield f"stages: {stages}"
    if data["first_sound"] is not None:
        yield f"first sound: after {format_duration(data['first_sound'])}"


def memory_text(memory: int | None, device_memory: int | None) -> str:
    """Both figures as text, as far as they are known."""
    text = "unknown" if memory is None else format_bytes(memory)
    return (
        text if device_memory is None else f"{text}, and {format_bytes(device_memory)} on the GPU"
    )
