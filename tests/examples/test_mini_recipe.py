"""The recipe of examples/mini is that of the built-in model."""

from __future__ import annotations

from dataclasses import replace

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.storage.model import find_model
from support.paths import ROOT


def test_the_recipe_describes_the_built_in_model() -> None:
    recipe = load_config(ModelConfig, ROOT / "examples" / "mini" / "recipe.yaml")
    config = find_model("mini").config
    assert replace(recipe, description=config.description) == config
