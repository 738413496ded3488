"""The command line: parse -> call -> print. stdout carries data only; all else goes to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

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
    try:
        from jukebox_cli.cli import app

        app.main()
    except KeyboardInterrupt:  # while modules are imported, which takes as long as many a command
        sys.exit(130)
