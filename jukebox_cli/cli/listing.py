"""model, plugin, preset: what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from jukebox_cli.cli.making import Json, Quiet
from jukebox_cli.cli.reporting import note, show
from jukebox_cli.plugin import InputError
from jukebox_cli.registry import Registry

Name = Annotated[str, typer.Argument(metavar="NAME")]


def add(app: typer.Typer, registry: Registry) -> None:
    """Puts the commands on the app."""
    model = typer.Typer(no_args_is_help=True, help="Models: what there is, and what they know.")
    plugin = typer.Typer(no_args_is_help=True, help="Plugins: conditioners, samplers, commands.")
    preset = typer.Typer(no_args_is_help=True, help="Presets: songs to make, models to train.")
    for name, group in (("model", model), ("plugin", plugin), ("preset", preset)):
        app.add_typer(group, name=name)

    @model.command("list")
    def model_list(as_json: Json = False) -> None:
        """The built-in models and those under ./models."""
        from jukebox_cli.folders import model_names

        names = model_names()
        show({"models": names}, "\n".join(names), as_json)

    @model.command("show")
    def model_show(name: Name, as_json: Json = False) -> None:
        """What a model is, and what its conditioners know."""
        facts = _facts(name, registry)
        show(facts, _lines(facts), as_json)

    @model.command("import")
    def model_import(
        source: Annotated[
            Path, typer.Argument(metavar="PATH", help="Folder of the checkpoints of a model.")
        ],
        name: Annotated[str, typer.Option(help="What to call it: it will be models/NAME.")],
        labels: Annotated[
            Path | None, typer.Option(help="Folder of lists of artists and genres.")
        ] = None,
        quiet: Quiet = False,
    ) -> None:
        """Bring in a model of OpenAI's Jukebox, or of its port to transformers."""
        target = _new_folder(name)
        from jukebox_cli.importing.labels import need
        from jukebox_cli.importing.writing import read_parts, write_model

        if labels:
            need(labels)
        folders = [folder for folder in (labels, source) if folder]
        parts = read_parts(source)
        write_model(parts, target, registry, folders, lambda part: note(f"writing {part}", quiet))
        print(target)

    @plugin.command("list")
    def plugin_list(as_json: Json = False) -> None:
        """What is installed, where it comes from, and its flags."""
        rows = _plugins(registry)
        lines = [f"{r['kind']:12} {r['name']:12} {r['from']:20} {r['flags']}" for r in rows]
        show({"plugins": rows}, "\n".join(lines), as_json)

    @preset.command("list")
    def preset_list(as_json: Json = False) -> None:
        """The built-in presets."""
        from jukebox_cli.config import find_preset, preset_names, read_yaml

        about = {n: read_yaml(find_preset(n)).get("about", "") for n in preset_names()}
        lines = [f"{name:16} {words}" for name, words in about.items()]
        show({"presets": about}, "\n".join(lines), as_json)

    @preset.command("show")
    def preset_show(name: Name) -> None:
        """A preset's text, to read or to start one's own from."""
        from jukebox_cli.config import find_preset, read_text

        print(read_text(find_preset(name)), end="")


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
    from jukebox_cli.folders import find_model
    from jukebox_cli.steering import conditioners

    model = find_model(name)
    config = model.config.vqvae
    levels = {}
    for level in range(config.levels):
        per_second = config.sample_rate / config.hops[level]
        levels[str(level)] = {
            "hop": config.hops[level],
            "tokens_per_second": round(per_second, 1),
            "prior": model.has_prior(level),
            "takes": sorted(conditioners(model, level, registry)),
        }
    top = model.learned(config.levels - 1)
    return {
        "model": model.name,
        "folder": str(model.path),
        "sample_rate": config.sample_rate,
        "bins": config.bins,
        "levels": levels,
        "knows": {n: f["names"] for n, f in top.items() if "names" in f},
        "card": model.card.read_text(encoding="utf-8") if model.card.exists() else "",
    }


def _lines(facts: dict[str, Any]) -> str:
    lines = [
        f"{facts['model']}: {facts['sample_rate']} Hz, {facts['bins']} codes, {facts['folder']}"
    ]
    for number, level in facts["levels"].items():
        takes = ", ".join(level["takes"]) if level["prior"] else "no prior"
        rate = f"{level['tokens_per_second']:g} tokens/s"
        lines.append(f"level {number}: hop {level['hop']}, {rate}: {takes}")
    lines += [f"{name}: {', '.join(known)}" for name, known in facts["knows"].items()]
    return "\n".join([*lines, "", facts["card"]]).rstrip()


def _plugins(registry: Registry) -> list[dict[str, str]]:
    def row(kind: str, name: str, declared: type, module: str) -> dict[str, str]:
        flags = " ".join("--" + f.name.replace("_", "-") for f in fields(declared))
        return {"kind": kind, "name": name, "from": registry.package_of(module), "flags": flags}

    found = [row("conditioner", n, c.Input, c.__module__) for n, c in registry.conditioners.items()]
    return found + [row("sampler", n, s, s.__module__) for n, s in registry.samplers.items()]
