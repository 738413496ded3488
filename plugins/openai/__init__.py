"""openai: imports the checkpoints of OpenAI's Jukebox, and of its port to the transformers library.

`command` adds `jukebox model import` and `jukebox model pull`. `checkpoints` reads files of either
form (`weight_files`, `pickle_reader`) into the original program's names; `hyperparameters`,
`prior_layout` and `vqvae_layout` turn those into settings and tensor names of this program;
`transformers_port` turns the port's into the original's; `labels` finds the names of artists and
genres, `hub` downloads, and `model_folder` writes the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jukebox_cli.api import hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def jukebox_commands(app: typer.Typer) -> None:
    from .command import add_commands

    add_commands(app)
