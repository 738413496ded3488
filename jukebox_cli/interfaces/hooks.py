"""What a plugin author needs, and nothing else: no torch, no numpy.

A *conditioner* steers a prior (artist, genre, lyrics ...). A *sampler* turns logits into the
distribution a token is drawn from; a *guide* is one that also sees them where nothing is told. All
are frozen dataclasses, so that their fields can become flags, YAML keys and a file beside the
weights without being written down twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    pass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from jukebox_cli.interfaces.conditioner import Conditioner
    from jukebox_cli.interfaces.sampler import Sampler


hookimpl = pluggy.HookimplMarker("jukebox")


hookspec = pluggy.HookspecMarker("jukebox")


@hookspec
def jukebox_conditioners() -> Sequence[type[Conditioner]]:  # type: ignore[empty-body]
    """Conditioner classes. Two with one name or one flag are an error naming both plugins."""


@hookspec
def jukebox_samplers() -> Sequence[type[Sampler]]:  # type: ignore[empty-body]
    """Sampler classes. Two with one name or one flag are an error naming both plugins."""


@hookspec
def jukebox_commands(app: typer.Typer) -> None:
    """Adds commands to the command line.

    :param app: the `jukebox` command; use `@app.command()`. A command that has a parameter
        `ctx: typer.Context` finds the registry of all plugins in `ctx.obj`.
    """


@hookspec
def jukebox_event(run: Path, event: Mapping[str, Any]) -> None:
    """Sees every line that goes to a run's log.jsonl.

    :param run: the run's folder.
    :param event: the line, with at least `event` (its kind) and `time` (seconds since 1970).
    """
