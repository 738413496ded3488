"""model: what models there are and what they know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from jukebox_cli.cli.console import print_result
from jukebox_cli.cli.options import Json
from jukebox_cli.config.suggest import join_names
from jukebox_cli.registry import Registry

Name = Annotated[str, typer.Argument(metavar="NAME")]


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
    letters = (letter for letter in fields.get("charset", "") if not letter.isspace())
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
