"""The command `jukebox report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jukebox_cli.api import pluralize
from jukebox_cli.api.commands import (
    Device,
    DeviceFlag,
    Json,
    ModelName,
    Only,
    Quiet,
    RunFolder,
    print_note,
    print_result,
    progress,
    validate_out,
)
from jukebox_cli.api.runs import open_run

#: Pages of more bytes than this take long to open, or to send.
LARGE_PAGE = 50_000_000

Out = Annotated[
    Path | None,
    typer.Option(help="File of the page. Default: RUN/report.html.", callback=validate_out),
]
Levels = Annotated[
    str | None, typer.Option(help="Only these levels: 0 or 0,2; 0 is the finest.", metavar="LIST")
]


def add_command(app: typer.Typer) -> None:
    """Add the command `report`."""
    app.command()(report)


def report(
    ctx: typer.Context,
    run: RunFolder,
    out: Out = None,
    only: Only = None,
    levels: Levels = None,
    model: ModelName = None,
    device: DeviceFlag = Device.auto,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a run as a web page: sound, spectrograms, lyrics, and how to make it again."""
    from .page import write_page
    from .page_request import build_page, validate_page_file

    path = validate_page_file(out or run / "report.html")
    page = build_page(open_run(ctx.obj, run, only), levels, model, device.value)
    with progress(quiet, "samples") as start_progress:
        num_bytes = write_page(page, path, start_progress("report", 0, page.num_samples))
    if num_bytes >= LARGE_PAGE:
        print_note(f"{path} is large: --only and --levels make it smaller", quiet)
    size = f"{pluralize(page.num_players, 'player')}, {num_bytes / 1e6:.1f} MB"
    print_note(f"wrote {path}: {size}", quiet or as_json)
    data = {
        "report": str(path),
        "items": [each.item.number for each in page.summary.items],
        "players": page.num_players,
        "bytes": num_bytes,
    }
    print_result(data, str(path), as_json)
