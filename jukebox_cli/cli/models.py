"""model: what models there are and what they know, and how to bring in others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.cli.console import print_note, print_result, print_warning
from jukebox_cli.cli.options import Json, Quiet
from jukebox_cli.config.suggest import join_names
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.storage.model import Model

Name = Annotated[str, typer.Argument(metavar="NAME")]
Labels = Annotated[Path | None, typer.Option(help="Folder of lists of artists and genres.")]


def add(app: typer.Typer, registry: Registry) -> None:
    """Puts the commands on the app."""
    model = typer.Typer(no_args_is_help=True, help="Models: what there is, and what they know.")
    app.add_typer(model, name="model")

    @model.command("list")
    def model_list(as_json: Json = False) -> None:
        """The built-in models and those under ./models."""
        from jukebox_cli.storage.model import model_names

        names = model_names()
        print_result({"models": names}, "\n".join(names), as_json)

    @model.command("show")
    def model_show(name: Name, as_json: Json = False) -> None:
        """What a model is, and what its conditioners know."""
        facts = _facts(name, registry)
        print_result(facts, _lines(facts), as_json)

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


def _facts(name: str, registry: Registry) -> dict[str, Any]:
    from jukebox_cli.model.condition_inputs import load_conditioners
    from jukebox_cli.storage.model import find_model

    model = find_model(name)
    config = model.config.vqvae
    levels = {}
    for level in range(config.num_levels):
        per_second = config.sample_rate / config.hop_lengths[level]
        levels[str(level)] = {
            "hop": config.hop_lengths[level],
            "tokens_per_second": round(per_second, 1),
            "prior": model.has_prior(level),
            "takes": sorted(load_conditioners(model, level, registry)),
        }
    top = model.fitted_conditioners(config.num_levels - 1)
    return {
        "model": model.name,
        "folder": str(model.path),
        "sample_rate": config.sample_rate,
        "bins": config.codebook_size,
        "levels": levels,
        "knows": {n: known for n, fields in top.items() if (known := _vocabulary(fields))},
        "card": model.card.read_text(encoding="utf-8") if model.card.exists() else "",
    }


def _vocabulary(fields: Mapping[str, Any]) -> list[str]:
    """What a conditioner learned the names of, or the letters of."""
    letters = (letter for letter in fields.get("alphabet", "") if not letter.isspace())
    return [*fields.get("names", ()), *letters]


def _lines(facts: dict[str, Any]) -> str:
    lines = [
        f"{facts['model']}: {facts['sample_rate']} Hz, {facts['bins']} codes, {facts['folder']}"
    ]
    for number, level in facts["levels"].items():
        takes = ", ".join(level["takes"]) if level["prior"] else "no prior"
        rate = f"{level['tokens_per_second']:g} tokens/s"
        lines.append(f"level {number}: hop {level['hop']}, {rate}: {takes}")
    lines += [f"{name}: {join_names(known)}" for name, known in facts["knows"].items()]
    return "\n".join([*lines, "", facts["card"]]).rstrip()
