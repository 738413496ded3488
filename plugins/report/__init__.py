"""report: `jukebox report` shows a run as one web page, to listen to, look at, and make again.

`page_request` checks what was asked for and `page` writes the page. Its content comes from
`run_summary` (what the run has), `reproduction` (the commands that make it again), `sound` and
`spectrogram`; `views` and `axes` lay it out for the template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jukebox_cli.api import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def jukebox_commands(app: typer.Typer) -> None:
    from .command import add_command

    add_command(app)
