"""decode: tokens of a run to audio."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from jukebox_cli.cli.console import print_result, progress
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.options import (
    Device,
    DeviceFlag,
    Engine,
    EngineFlag,
    Format,
    ModelName,
    Only,
    OutputOptions,
    RunFolder,
    ShardFlag,
)
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(decode))


def decode(
    ctx: typer.Context,
    *,
    run: RunFolder,
    level: Annotated[
        int, typer.Option(min=0, help="Level to decode. 0 is the finest and sounds best.")
    ] = 0,
    file_format: Annotated[
        Format, typer.Option("--format", help="File format of the audio.")
    ] = Format.wav,
    only: Only = None,
    shard: ShardFlag = None,
    model: ModelName = None,
    device: DeviceFlag = Device.auto,
    engine: EngineFlag = Engine.auto,
    output: OutputOptions,
) -> None:
    """Decode the tokens of a level to audio."""
    from jukebox_cli.sampling.decode import decode_run
    from jukebox_cli.sampling.run_setup import reopen_job
    from jukebox_cli.sampling.shard import parse_shard

    mine = parse_shard(shard)
    job = reopen_job(run, ctx.obj, only, model)
    job = replace(job, device=device.value, engine=engine.value)
    job = replace(job, items=mine.select(job.items)) if mine else job
    if level > job.top_level:
        raise InputError(f"there is no level {level}", f"the top level is {job.top_level}")
    with progress(output.quiet) as bar:
        files = decode_run(replace(job, progress=bar), level, file_format.value)
    print_result({"run": str(run), "audio": files}, "\n".join(files), output.as_json)
