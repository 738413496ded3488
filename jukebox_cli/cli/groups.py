"""Groups of commands, such as `jukebox model`."""

from __future__ import annotations

import typer


def command_group(app: typer.Typer, name: str, description: str = "") -> typer.Typer:
    """The group of commands called `name`, such as `model`, to add a command to.

    A group that does not exist is added to the app, with `description` as its help.
    """
    for group in app.registered_groups:
        if group.name == name and group.typer_instance is not None:
            return group.typer_instance
    added = typer.Typer(no_args_is_help=True, help=description)
    app.add_typer(added, name=name)
    return added
