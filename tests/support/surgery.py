"""Small conditioners of all plugins, to be added to trained priors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jukebox_cli.model.surgery import Addition, add_conditioners
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.paths import ROOT
from support.tiny_model import TINY

#: The modules of the example plugin.
EXAMPLE_PLUGIN = ROOT / "examples" / "plugin" / "src"


def without_conditioner(recipe: str, name: str) -> str:
    """A recipe of the tiny model without a conditioner."""
    return re.sub(rf"{name}: {{.*?}}(, )?", "", recipe)


#: The tiny model without conditioners.
BARE = TINY
for each in ("timing", "genre", "artist"):
    BARE = without_conditioner(BARE, each)

#: Start, end, pitch and velocity of notes.
NOTES = [[0.0, 0.1, 60, 90], [0.05, 0.2, 64, 70]]
#: A song with a value for every conditioner.
SONG = {
    "artist": "Ada Vale",
    "genre": ["rock"],
    "total": 2.0,
    "lyrics": "la lala",
    "lyrics_times": [[0, 0.0], [3, 0.1]],
    "midi": [{"program": 0, "drum": False, "name": "", "notes": NOTES}],
    "energy": [0.2, 0.9],
}

LYRICS = {"max_characters": 16, "width": 16, "depth": 1, "heads": 2, "rows": 4}
MIDI = {"width": 16, "depth": 1}

#: Options that make each conditioner small.
OPTIONS: dict[str, dict[str, Any]] = {
    "artist": {},
    "genre": {},
    "timing": {"num_bins": 8},
    "lyrics": LYRICS,
    "midi": MIDI,
    "energy": {},
}


def add(
    old: Model,
    path: Path,
    level: int,
    registry: Registry,
    conditioners: Mapping[str, Any],
    num_cross_attention_layers: int = 1,
) -> Model:
    """A copy of a model at `path` with conditioners added to the prior of a level."""
    new = Model(path)
    addition = Addition(conditioners, num_cross_attention_layers)
    add_conditioners(old, new, level, addition, [SONG], registry)
    return new
