"""Groups of commands."""

from __future__ import annotations

import typer

from jukebox_cli.cli.groups import command_group


def test_a_group_is_added_once() -> None:
    app = typer.Typer()
    assert command_group(app, "one") is command_group(app, "one")
