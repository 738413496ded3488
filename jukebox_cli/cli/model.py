"""model list, model show, model check: the models, their levels, vocabularies and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.cli.completion import complete_models
from jukebox_cli.cli.console import print_result
from jukebox_cli.cli.groups import command_group
from jukebox_cli.cli.options import Json
from jukebox_cli.config.suggest import join_names
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.storage.model import Model


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the group `model` to the app."""
    group = command_group(app, "model", "Models: list, inspect, and import them.")
    group.command("list")(list_models)
    group.command()(show)
    group.command()(check)


def list_models(as_json: Json = False) -> None:
    """List the built-in models and those under ./models."""
    from jukebox_cli.storage.model import model_names

    names = model_names()
    print_result({"models": names}, "\n".join(names), as_json)


ModelName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A model: a folder, or a name from `jukebox model list`.",
        autocompletion=complete_models,
    ),
]


def check(
    name: ModelName,
    record: Annotated[
        bool, typer.Option("--record", help="Record checksums of weights that have none.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read all files of a model through, and list those that are damaged.

    Weights that jukebox wrote have a checksum in them. With --record those of other weights are
    written to checksums.txt, which `sha256sum -c` reads too: do so once, when you trust them.
    """
    from jukebox_cli.storage.model import find_model
    from jukebox_cli.storage.weight_checks import record_checksums
    from jukebox_cli.storage.whole import check_model

    model = find_model(name)
    recorded = record_checksums(model.path) if record else []
    count = check_model(model)
    data = {"model": model.name, "files": count, "recorded": recorded}
    print_result(data, f"{model.path}: {count} files are whole", as_json)


def show(ctx: typer.Context, name: ModelName, as_json: Json = False) -> None:
    """Show a model's levels, and the words that its conditioners know."""
    from jukebox_cli.storage.model import find_model

    model = find_model(name)
    codec = model.config.vqvae
    vocabulary = ctx.obj.vocabulary(model.fitted_conditioners(codec.num_levels - 1))
    data = {
        "model": model.name,
        "folder": str(model.path),
        "sample_rate": codec.sample_rate,
        "codebook_size": codec.codebook_size,
        "levels": {str(n): _level(model, n, ctx.obj) for n in range(codec.num_levels)},
        "vocabulary": {label: words for label, words in vocabulary.items() if words},
        "card": model.card.read_text(encoding="utf-8") if model.card.exists() else "",
    }
    print_result(data, _text(data), as_json)


def _level(model: Model, level: int, registry: Registry) -> dict[str, Any]:
    """A level as JSON. Raises InputError if its conditioners can't be loaded."""
    from jukebox_cli.model.condition_inputs import load_conditioners

    codec = model.config.vqvae
    return {
        "hop_length": codec.hop_lengths[level],
        "tokens_per_second": round(codec.sample_rate / codec.hop_lengths[level], 1),
        "has_prior": model.has_prior(level),
        "conditioners": sorted(load_conditioners(model, level, registry)),
    }


def _text(data: dict[str, Any]) -> str:
    size = f"{data['sample_rate']} Hz, {data['codebook_size']} codes per level"
    lines = [f"{data['model']}: {size}, {data['folder']}"]
    for number, level in data["levels"].items():
        conditioners = ", ".join(level["conditioners"]) or "no conditioners"
        rate = f"{level['tokens_per_second']:g} tokens/s"
        prior = conditioners if level["has_prior"] else "no prior"
        lines.append(f"level {number}: hop length {level['hop_length']}, {rate}: {prior}")
    lines += [f"{label}: {join_names(words)}" for label, words in data["vocabulary"].items()]
    return "\n".join([*lines, "", data["card"]]).rstrip()
