"""loudness: how loud the items of a run are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jukebox_cli.api import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def jukebox_commands(app: typer.Typer) -> None:
    from . import command

    app.command()(command.loudness)
