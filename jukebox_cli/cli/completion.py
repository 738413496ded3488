"""Shell completion of values: presets, models, runs, and the names that a model knows.

A shell calls the program for each press of the Tab key, so nothing here imports torch or numpy.
An invalid command line has no completions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry


def complete_presets(incomplete: str) -> list[str]:
    """The built-in presets, and YAML files in the working folder."""
    from jukebox_cli.config.presets import preset_names

    return _matches(incomplete, [*preset_names(), *(str(p) for p in sorted(Path().glob("*.yaml")))])


def complete_models(incomplete: str) -> list[str]:
    """The built-in models and those under ./models."""
    from jukebox_cli.storage.model import model_names

    return _matches(incomplete, model_names())


def complete_examples(incomplete: str) -> list[str]:
    """The examples that come with the package."""
    from jukebox_cli.config.examples import example_folders

    return _matches(incomplete, example_folders())


def complete_runs(incomplete: str) -> list[str]:
    """The runs in the working folder and in ./runs."""
    from jukebox_cli.storage.run import find_runs

    runs = [*find_runs(Path()), *find_runs(Path("runs"))]
    return _matches(incomplete, [str(run.path) for run in runs])


def complete_condition(field: str) -> Callable[[typer.Context, str], list[str]]:
    """A completion function for the option of a conditioner's `Input` field: suggests the words
    that the conditioner knows in the model of the command line."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            return _matches(incomplete, _known_words(ctx.obj, _model_name(ctx.params), field))
        except InputError:
            return []

    return complete


def _model_name(options: dict[str, Any]) -> str:
    """The model of a command line: --model, that of --preset, or the default."""
    from jukebox_cli.config.presets import find_preset
    from jukebox_cli.config.yaml_files import read_yaml
    from jukebox_cli.storage.model import DEFAULT_MODEL

    if options.get("model"):
        return str(options["model"])
    preset = read_yaml(find_preset(options["preset"])) if options.get("preset") else {}
    return str(preset.get("model") or DEFAULT_MODEL)


def _known_words(registry: Registry, model_name: str, field: str) -> list[str]:
    """The words that conditioners know for a field at any level of a model, sorted."""
    from jukebox_cli.storage.model import find_model

    model = find_model(model_name)
    levels = range(len(model.config.priors))
    known = [registry.vocabulary(model.fitted_conditioners(level)) for level in levels]
    return sorted({word for words in known for word in words.get(field, ())})


class _Match(str):
    """A completion that typer keeps: it drops those that do not begin literally like the word."""

    __slots__ = ()

    def startswith(self, *args: Any) -> bool:
        return True


def _matches(incomplete: str, values: Iterable[str]) -> list[str]:
    """The values that begin like the incomplete word, ignoring case.

    bash inserts a completion as it is, so spaces are escaped for it; other shells do that.
    """
    found = [value for value in values if value.casefold().startswith(incomplete.casefold())]
    if os.environ.get("_JUKEBOX_COMPLETE") == "complete_bash":
        found = [re.sub(r"([^\w./:,+@%-])", r"\\\1", value) for value in found]
    return [_Match(value) for value in found]
