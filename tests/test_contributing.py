"""CONTRIBUTING.md says what is so: the map, the hooks, the example."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.interfaces import hooks
from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from support.paths import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CORE = ROOT / "jukebox_cli"


def mapped() -> list[str]:
    """The modules of the map, from top to bottom."""
    table = TEXT.partition("## The map")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w.]+)` \|", table, re.MULTILINE)


def file_of(module: str) -> Path:
    return CORE / f"{module.replace('.', '/')}.py"


def imported(path: Path) -> set[str]:
    """The modules of the core that a module imports anywhere, but for `jukebox_cli` itself."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jukebox_cli"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}".removeprefix("jukebox_cli.")
                outer = str(node.module).removeprefix("jukebox_cli").removeprefix(".")
                names.add(inner if file_of(inner).exists() else outer)
    return names - {""}


def test_the_map_names_every_module() -> None:
    there = {".".join(p.relative_to(CORE).with_suffix("").parts) for p in CORE.rglob("*.py")}
    assert set(mapped()) == {name for name in there if not name.endswith("__init__")}
    assert len(mapped()) == len(set(mapped()))


@pytest.mark.parametrize("module", mapped())
def test_a_module_imports_only_those_above_it(module: str) -> None:
    above = mapped()[: mapped().index(module)]
    assert imported(file_of(module)) <= set(above)


def test_hooks_stand_there_with_their_arguments() -> None:
    for name, hook in inspect.getmembers(hooks, inspect.isfunction):
        if name.startswith("jukebox_"):
            assert f"`{name}({', '.join(inspect.signature(hook).parameters)})`" in TEXT


def test_the_example_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "tempo_example.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("tempo_example")
    registry = Registry({"tempo": module})
    text = CliRunner().invoke(build_app(registry), ["generate", "--help"]).stdout
    assert "--tempo" in text
    assert "Beats per minute." in text

    tempo, shape = registry.make_conditioner("tempo", {"steps": 8}), PriorShape(4, 16, 8, 8000)
    song = tempo.read({"tempo": "120"}, tmp_path)
    assert song == {"tempo": 120.0}
    with pytest.raises(InputError, match="tempo 'quick' is no number"):
        tempo.read({"tempo": "quick"}, tmp_path)
    window = Window(0, 128, 128)
    ids = [tempo.encode(s, window, shape)["ids"] for s in ({}, {"tempo": 41.0}, song)]
    assert np.concatenate(ids).tolist() == [0, 1, 8]
    start = tempo.module(shape)(torch.from_numpy(np.stack(ids))).start
    assert start.shape == (3, 4)
    assert not torch.equal(start[1], start[2])


def test_there_is_nothing_left_of_old_names() -> None:
    """Files and make targets that the page names are there."""
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([\w-]+)", TEXT):
        assert re.search(rf"^{target}:", targets, re.MULTILINE), target
    for path in ("examples/plugin", "tests/conftest.py", "constraints.txt", ".ci/run"):
        assert path in TEXT
        assert (ROOT / path).exists()
