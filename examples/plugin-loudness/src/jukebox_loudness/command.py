"""The command `jukebox loudness`."""

from __future__ import annotations

from typing import Annotated

import typer

from jukebox_cli.api.commands import (
    Device,
    DeviceFlag,
    Json,
    ModelName,
    Only,
    Quiet,
    RunFolder,
    print_result,
    progress,
)
from jukebox_cli.api.runs import open_run

Level = Annotated[int, typer.Option(min=0, help="Level to measure; 0 is the finest.")]


def loudness(
    ctx: typer.Context,
    run: RunFolder,
    only: Only = None,
    level: Level = 0,
    model: ModelName = None,
    device: DeviceFlag = Device.auto,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print how loud the items of a run are, in dB below full scale."""
    from .measurement import RunSound, measure

    opened = open_run(ctx.obj, run, only)
    sound = RunSound.prepare(opened, level, model, device.value)
    with progress(quiet, "items") as start_progress:
        advance = start_progress("loudness", 0, len(opened.items))
        measured = {}
        for item in opened.items:
            measured[item.number] = measure(sound.blocks(item))
            advance(1)
    opened.log_event("loudness", level=level, items=list(measured))
    rows = [f"{n} {each['rms_db']:.1f} {each['peak_db']:.1f}" for n, each in measured.items()]
    print_result({"loudness": measured}, "\n".join(rows), as_json)
