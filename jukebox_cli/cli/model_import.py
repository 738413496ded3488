"""model import, model pull: models of OpenAI's Jukebox and of its port to transformers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jukebox_cli.cli.console import print_note, print_result, print_warning
from jukebox_cli.cli.options import Json, Quiet
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.storage.model import Model

Labels = Annotated[Path | None, typer.Option(help="Folder of lists of artists and genres.")]


def add(model: typer.Typer, registry: Registry) -> None:
    """Adds the commands to the group `model`."""

    @model.command("import")
    def model_import(
        sources: Annotated[
            list[Path],
            typer.Argument(metavar="PATH...", help="The folder of its checkpoints, or several."),
        ],
        name: Annotated[str, typer.Option(help="What to call it: it will be models/NAME.")],
        labels: Labels = None,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Bring in a model of OpenAI's Jukebox, or of its port to transformers."""
        target = _new_folder(name)
        made = _import(sources, target, registry, labels, quiet)
        print_result({"model": name, "folder": str(made.path)}, str(made.path), as_json)

    @model.command("pull")
    def model_pull(
        repository: Annotated[
            str, typer.Argument(metavar="HUB_REPO", help="Of the Hugging Face hub: owner/name.")
        ],
        name: Annotated[
            str | None, typer.Option(help="What to call it; as it is called there if not given.")
        ] = None,
        revision: Annotated[
            str | None, typer.Option(help="A branch, tag or commit; the newest if not given.")
        ] = None,
        labels: Labels = None,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Fetch a model from the hub, check it, and bring it in."""
        name = name or repository.rpartition("/")[2]
        target = _new_folder(name)
        from jukebox_plugins.openai import hub

        found = hub.fetch(repository, revision, quiet)
        if (found / "config.yaml").is_file():
            made = hub.copy_model(found, target)
        else:
            made = _import([found], target, registry, labels, quiet)
        print_result({"model": name, "folder": str(made.path)}, str(made.path), as_json)


def _import(
    sources: list[Path], target: Path, registry: Registry, labels: Path | None, quiet: bool
) -> Model:
    from jukebox_plugins.openai.checkpoints import read_parts
    from jukebox_plugins.openai.labels import need
    from jukebox_plugins.openai.model_folder import write_model

    if labels:
        need(labels)
    folders = [labels, *sources] if labels else sources
    parts = read_parts(sources)
    made = write_model(
        parts, target, registry, folders, lambda part: print_note(f"writing {part}", quiet)
    )
    if _only_numbers(made):
        print_warning(
            "no lists of artists and genres: they are called by their numbers; see --labels"
        )
    return made


def _only_numbers(model: Model) -> bool:
    known = [
        name
        for level in range(len(model.config.priors))
        for fields in model.fitted_conditioners(level).values()
        for name in fields.get("names", ())
    ]
    return bool(known) and all(name.isdecimal() for name in known)


def _new_folder(name: str) -> Path:
    """models/NAME; InputError when there is more than an interrupted import left."""
    if not name or name != Path(name).name or name.startswith("."):
        hint = "choose a name without slashes that doesn't begin with a dot"
        raise InputError(f"a model can't be called '{name}'", hint)
    target = Path("models") / name
    there = [path.name for path in target.iterdir()] if target.is_dir() else []
    if any(not _LEFT.fullmatch(name) for name in there) or target.is_file():
        raise InputError(f"{target} is there already", "choose another --name, or remove it")
    return target


#: What an interrupted import leaves behind: a model's files without its config.yaml.
_LEFT = re.compile(r"(vqvae|prior)-\d+\.safetensors|prior-\d+\.json|card\.md|\..+\.part")
