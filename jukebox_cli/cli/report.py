"""The command report: a run as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jukebox_cli.cli.console import print_note, print_result, progress
from jukebox_cli.cli.options import (
    Device,
    DeviceFlag,
    Json,
    ModelName,
    Only,
    Quiet,
    RunFolder,
    validate_out,
)
from jukebox_cli.registry import Registry

LARGE = 50_000_000  # bytes; more takes long to open, or to send

Out = Annotated[
    Path | None,
    typer.Option(help="File of the page. Default: RUN/report.html.", callback=validate_out),
]
Levels = Annotated[
    str | None, typer.Option(help="Only these levels: 0 or 0,2; 0 is the finest.", metavar="LIST")
]


def add(app: typer.Typer, registry: Registry) -> None:
    """Puts the command on the app."""

    @app.command()
    def report(
        run: RunFolder,
        out: Out = None,
        items: Only = None,
        levels: Levels = None,
        model: ModelName = None,
        device: DeviceFlag = Device.auto,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Show a run as one web page: sound, pictures, lyrics, and how to make it again."""
        from jukebox_plugins.report.page import write
        from jukebox_plugins.report.plan import check_out, plan

        from jukebox_cli.storage.run import Run

        path = check_out(out or Run(run).report)
        page = plan(run, registry, items=items, levels=levels, model=model, device=device.value)
        with progress(quiet, "samples") as bar:
            size = write(page, path, bar("report", 0, page.samples))
        if size >= LARGE:
            print_note(f"{path} is large: --only and --levels make it smaller", quiet)
        print_note(f"wrote {path}: {_of(page.players, size)}", quiet or as_json)
        numbers = [item.number for item in page.facts.items]
        data = {"report": str(path), "items": numbers, "players": page.players, "bytes": size}
        print_result(data, str(path), as_json)


def _of(players: int, size: int) -> str:
    """`6 players, 1.4 MB`."""
    return f"{players} player{'s' if players > 1 else ''}, {size / 1e6:.1f} MB"
