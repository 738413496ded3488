"""play: the audio of a run, with what the system has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from jukebox_cli.cli.console import print_note, progress
from jukebox_cli.cli.options import Quiet, RunFolder
from jukebox_cli.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(play)


def play(
    ctx: typer.Context,
    run: RunFolder,
    item: Annotated[
        int | None, typer.Option(min=0, help="Item to play. Without it, one after the other.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Play a run with a program of the system, after decoding what is not decoded yet."""
    from jukebox_cli.audio.player import play_file
    from jukebox_cli.sampling.decode import decode_run
    from jukebox_cli.sampling.run_setup import reopen_job

    job = reopen_job(run, ctx.obj, None if item is None else str(item))
    with progress(quiet) as bar:
        files = decode_run(replace(job, progress=bar))
    for path in files:
        print_note(f"playing {path}", quiet)
        play_file(Path(path))
