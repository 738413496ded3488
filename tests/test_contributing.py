"""CONTRIBUTING.md names packages, code, files and make targets that exist."""

from __future__ import annotations

import importlib
import re

import pytest

from support.import_graph import CORE, LAYERS
from support.paths import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGES = TEXT.partition("## Packages")[2].partition("\n## ")[0]
#: `sampling.rng.uniform_numbers`: a dotted name that begins with a package of the core.
DOTTED = sorted(set(re.findall(rf"`((?:{'|'.join(LAYERS)})(?:\.\w+)+)`", TEXT)))
#: `plugins/lyrics/hmm.py`: a path in the repository.
PATHS = sorted(set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:txt|md))`", TEXT)))


def test_the_table_of_packages_is_in_their_order() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \|", PACKAGES, re.MULTILINE)) == LAYERS


def test_every_package_of_the_core_is_in_the_table() -> None:
    folders = {path.parent.name for path in (ROOT / CORE).glob("*/__init__.py")}
    assert folders <= set(LAYERS)
    assert set(LAYERS) - folders == {"registry"}


@pytest.mark.parametrize("name", DOTTED)
def test_every_name_of_code_exists(name: str) -> None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join((CORE, *parts[:length])))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute)
        return
    pytest.fail(f"no {name}")


@pytest.mark.parametrize("path", PATHS)
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / CORE / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([\w-]+)(?=[ ;`])", TEXT))))
def test_every_make_target_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)
