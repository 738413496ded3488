"""The modules of examples/mini, imported from its folder and removed again afterwards."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from support.paths import ROOT

MINI = ROOT / "examples" / "mini"
MODULES = (
    "theory", "patterns", "melody", "styles", "artists", "artists.rock",
    "artists.jazz", "artists.classical", "artists.electronic", "song_plan", "bass", "players",
    "compose", "render", "lyrics", "singing", "voice", "sung_songs", "make_songs",
)  # fmt: skip


#: The modules by name.
Modules = dict[str, ModuleType]


@contextmanager
def mini_modules() -> Iterator[Modules]:
    """The example's modules by name, while nothing else of these names can be imported."""
    before = {name: sys.modules.pop(name, None) for name in MODULES}
    sys.path.insert(0, str(MINI))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(MINI))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module
