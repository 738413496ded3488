"""The command line: parse -> call -> print. stdout carries data only; all else goes to stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jukebox_cli.interfaces.signals import handle_signals

if TYPE_CHECKING:
    import typer

    from jukebox_cli.registry import Registry

__all__ = ["build_app", "main"]


def build_app(registry: Registry) -> typer.Typer:
    """The command line with the plugins of a registry."""
    from jukebox_cli.cli import app

    return app.build_app(registry)


def main() -> None:
    """The `jukebox` command."""
    handle_signals()  # before modules are imported, which takes as long as many a command
    from jukebox_cli.cli import app

    app.main()
