"""energy: how loud and dense the music is, from calm (0) to full (1).

This is the module that the entry point names. It holds the four hooks and nothing else. What it
imports does not import torch or numpy, so that `jukebox --help` stays quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.api import Conditioner, Sampler, hookimpl
from jukebox_energy import command, speed
from jukebox_energy.conditioner import Energy
from jukebox_energy.sampler import Fresh

if TYPE_CHECKING:
    import typer


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Energy]


@hookimpl
def jukebox_samplers() -> list[type[Sampler]]:
    return [Fresh]


@hookimpl
def jukebox_commands(app: typer.Typer) -> None:
    command.add_command(app)


@hookimpl
def jukebox_event(run: Path, event: Mapping[str, Any]) -> None:
    speed.record(run, event)
