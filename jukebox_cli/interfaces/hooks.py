"""The hooks of a plugin: functions that the module named by its entry point may define.

An entry point in the group `jukebox` names a module (or any object). Mark each hook in it with
`@hookimpl`. Hooks only hand over classes or receive events; all work is done by the classes. A hook
may declare fewer parameters than its specification, as usual in pluggy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import typer

    from jukebox_cli.interfaces.conditioner import Conditioner
    from jukebox_cli.interfaces.sampler import Sampler

hookimpl = pluggy.HookimplMarker("jukebox")
hookspec = pluggy.HookspecMarker("jukebox")


@hookspec
def jukebox_conditioners() -> Sequence[type[Conditioner]]:  # type: ignore[empty-body]
    """Return conditioner classes.

    Called once, at the start of every `jukebox` process. Every field of a class's `Input` becomes
    an option of `generate` and `continue` and a column of manifests. A class takes effect in models
    that name it: under `conditioners:` of a prior in a training preset, or added to a trained prior
    with `jukebox train prior --from MODEL --add NAME`.

    :returns: subclasses of `Conditioner`, each with a `name` that no other conditioner has and
        option names that no conditioner, sampler or command has.
    :raises: a clash is reported as a `PluginError` that names both plugins. A plugin whose hook
        raises an exception, or returns anything else than such classes, is left out with a warning.
    """


@hookspec
def jukebox_samplers() -> Sequence[type[Sampler]]:  # type: ignore[empty-body]
    """Return sampler classes.

    Called once, at the start of every `jukebox` process. Every field of a class becomes an option
    of `generate` and `continue`, and a key of `sampling: options:` in presets and models. Samplers
    run in ascending `order`, those of equal order by name; see `Sampler`.

    :returns: subclasses of `Sampler`, each with a `name` that no other sampler has and option
        names that no conditioner, sampler or command has.
    :raises: as `jukebox_conditioners`.
    """


@hookspec
def jukebox_commands(app: typer.Typer) -> None:
    """Add commands to the command line.

    Called once, at the start of every `jukebox` process, also for `--help`: import nothing heavy
    before a command runs. If it raises an exception, the plugin's commands are left out with a
    warning.

    :param app: the `jukebox` app; use `@app.command()`. A command that has a parameter
        `ctx: typer.Context` finds the registry of all plugins in `ctx.obj`.
    """


@hookspec
def jukebox_event(run: Path, event: Mapping[str, Any]) -> None:
    """Receive an event of a run: each line that is appended to its `log.jsonl`.

    Called after the line is written, in the process that wrote it (levels can be sampled in worker
    processes): when items are continued, when a level begins and ends, when audio is written. The
    command waits until it returns, and fails with a `PluginError` if it raises an exception.

    :param run: the run's folder.
    :param event: the line, with at least `event` (its kind, such as "level") and `time` (seconds
        since 1970).
    """
