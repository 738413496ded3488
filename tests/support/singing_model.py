"""A tiny model with random weights whose top level has lyrics."""

from __future__ import annotations

from pathlib import Path

import yaml

from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.tiny_model import LEARNED, TINY, make_tiny

FIELDS = {"max_characters": 16, "width": 16, "depth": 1, "heads": 2, "rows": 4}


def make_singing_model(path: Path, registry: Registry, form: str) -> Model:
    """The tiny model with lyrics at the top, in one of the two forms; layer 1 attends to them."""
    recipe = yaml.safe_load(TINY)
    top = recipe["priors"][2]
    top["conditioners"] = {"artist": {}, "lyrics": {**FIELDS, "form": form}}
    top["attention_patterns"] = ["row", form, "dense"]
    top["prefix_length"] = 16 if form == "prefix" else 0
    lyrics = {**FIELDS, "form": form, "charset": "\n abefgorwy"}
    return make_tiny(path, registry, yaml.safe_dump(recipe), {**LEARNED, "lyrics": lyrics})
