"""The commands `model import` and `model pull`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jukebox_cli.api import InputError, Registry
from jukebox_cli.api.commands import (
    Json,
    Quiet,
    command_group,
    print_note,
    print_result,
    print_warning,
)

if TYPE_CHECKING:
    from jukebox_cli.api.models import Model

LabelFolder = Annotated[
    Path | None,
    typer.Option("--labels", help="Folder with the lists of artists and genres.", metavar="FOLDER"),
]


def add_commands(app: typer.Typer) -> None:
    """Add `import` and `pull` to the group `model`."""
    group = command_group(app, "model")
    group.command("import")(import_model)
    group.command("pull")(pull_model)


def import_model(
    ctx: typer.Context,
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Folder of the checkpoints, or several."),
    ],
    name: Annotated[str, typer.Option(help="Name of the model; it is written to models/NAME.")],
    labels: LabelFolder = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Import a model of OpenAI's Jukebox, or of its port to transformers."""
    target = _new_model_folder(name)
    model = _import_checkpoints(folders, target, ctx.obj, labels, quiet)
    print_result({"model": name, "folder": str(model.path)}, str(model.path), as_json)


def pull_model(
    ctx: typer.Context,
    repository: Annotated[
        str, typer.Argument(metavar="HUB_REPO", help="Hugging Face Hub repository: owner/name.")
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the model; that of the repository by default.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; the newest by default.")
    ] = None,
    labels: LabelFolder = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download a model from the Hugging Face Hub, verify it, and import it."""
    name = name or repository.rpartition("/")[2]
    target = _new_model_folder(name)
    from . import hub

    folder = hub.download(repository, revision, quiet)
    if (folder / "config.yaml").is_file():
        model = hub.copy_model(folder, target)
    else:
        model = _import_checkpoints([folder], target, ctx.obj, labels, quiet)
    print_result({"model": name, "folder": str(model.path)}, str(model.path), as_json)


def _import_checkpoints(
    folders: Sequence[Path], target: Path, registry: Registry, labels: Path | None, quiet: bool
) -> Model:
    from .checkpoints import read_checkpoints
    from .labels import require_labels
    from .model_folder import write_imported_model

    if labels:
        require_labels(labels)
    label_folders = [labels, *folders] if labels else folders
    checkpoints = read_checkpoints(folders)
    model = write_imported_model(
        checkpoints,
        target,
        registry,
        label_folders,
        lambda part: print_note(f"writing {part}", quiet),
    )
    if _has_only_numbers(model):
        print_warning(
            "no lists of artists and genres: they are called by their numbers; see --labels"
        )
    return model


def _has_only_numbers(model: Model) -> bool:
    """Whether the model's artists and genres have numbers for names."""
    names = [
        name
        for level in range(len(model.config.priors))
        for fields in model.fitted_conditioners(level).values()
        for name in fields.get("names", ())
    ]
    return bool(names) and all(name.isdecimal() for name in names)


def _new_model_folder(name: str) -> Path:
    """models/NAME; InputError if it is there already."""
    if not name or name != Path(name).name or name.startswith("."):
        hint = "choose a name without slashes that doesn't begin with a dot"
        raise InputError(f"a model can't be called '{name}'", hint)
    target = Path("models") / name
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise InputError(f"{target} exists already", "choose another --name, or remove it")
    return target
