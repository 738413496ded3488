"""The packages import one way, names are the field's, and modules and functions are small."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml

from support.import_graph import CORE, LAYERS, Module, core_imports, imports, modules
from support.paths import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLUGINS = [
    *sorted((ROOT / "plugins").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("src/**/*.py")),
]
SOURCES = [
    path
    for folder in (CORE, "plugins", "benchmarks", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
#: Where torch may be imported when a module is imported; elsewhere that happens inside functions.
IMPORTS_TORCH = (
    *("model", "engine", "train", "storage.tensors", "api.nn", "api.models", "api.audio"),
    *("sampling.sampler", "sampling.rng", "sampling.measure", "sampling.tokenize"),
    *("sampling.window_timer", "evaluation.metrics"),
)
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 30
MAX_TEST_MODULE_LINES = 400


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


# imports


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name or CORE)
def test_a_module_imports_only_packages_below_its_own(module: Module) -> None:
    if not module.package or module.name == "__main__":
        return
    allowed = LAYERS[LAYERS.index(module.package) :]
    assert {name.partition(".")[0] for name in core_imports(module)} <= set(allowed)


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        module.name: core_imports(module, at_run_time=True) - {module.name} for module in modules()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for each in sorted(graph.get(name, ())):
                visit(each, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", PLUGINS, ids=ids)
def test_a_plugin_imports_nothing_of_the_core_but_the_api(path: Path) -> None:
    core = {name for name in imports(ast.parse(path.read_text())) if name.startswith(CORE)}
    assert {name for name in core if not name.startswith(f"{CORE}.api")} == set()


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name or CORE)
def test_the_core_imports_no_plugin(module: Module) -> None:
    assert not [name for name in imports(module.tree) if name.startswith("jukebox_plugins")]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name or CORE)
def test_torch_is_imported_late(module: Module) -> None:
    top = ast.Module(
        [n for n in module.tree.body if isinstance(n, ast.Import | ast.ImportFrom)], []
    )
    if "torch" in {name.partition(".")[0] for name in imports(top)}:
        assert module.name.startswith(IMPORTS_TORCH)


# sizes


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_no_function_is_long(path: Path) -> None:
    long = [
        f"{name}: {lines}" for name, lines in Module(path).functions() if lines > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_the_median_function_has_6_to_12_lines() -> None:
    lengths = [lines for module in modules() for _, lines in module.functions()]
    assert 6 <= median(lengths) <= 12


# words


def banned_names() -> dict[str, str]:
    """Names that are not used, and what is used instead: the tables of CONTRIBUTING.md."""
    section = CONTRIBUTING.partition("## Words")[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    for row in re.findall(r"^\|(.+)\|$", section, re.MULTILINE):
        word, _, *instead = (cell.strip() for cell in row.split("|"))
        found |= {name: word for cell in instead for name in re.findall(r"`(\w+)`", cell)}
    return found


def banned_parts() -> list[str]:
    """Words that no name has as a part."""
    section = CONTRIBUTING.partition("## Words")[2].partition("\n## ")[0]
    (line,) = re.findall(r"^No name has a part such as (.+?)\.$", section, re.MULTILINE | re.DOTALL)
    return re.findall(r"`(\w+)`", line)


def defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and name of everything that a module names: functions, classes, parameters,
    variables and attributes of its own objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_names_are_those_of_the_field(path: Path) -> None:
    names, parts = banned_names(), set(banned_parts())
    assert len(names) > 40
    assert len(parts) > 10
    wrong = [
        f"line {line}: {name}"
        for line, name in defined_names(ast.parse(path.read_text(encoding="utf-8")))
        if name.strip("_") in names or parts & set(name.lower().split("_"))
    ]
    assert wrong == []


def keys(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        yield from (str(key) for key in data)
        data = list(data.values())
    for each in data if isinstance(data, list) else ():
        yield from keys(each)


DATA = [
    path
    for folder in (CORE, "presets", "examples")
    for suffix in ("yaml", "json")
    for path in sorted((ROOT / folder).rglob(f"*.{suffix}"))
]


@pytest.mark.parametrize("path", DATA, ids=ids)
def test_keys_of_shipped_files_are_those_of_the_field(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    data = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    assert data["format"] == 2
    assert set(keys(data)) & set(banned_names()) == set()


# tests

TEST_MODULES = sorted((ROOT / "tests").rglob("test_*.py"))
#: Tests of the whole facade: its documentation, and a plugin of a third party.
TESTS_OF_PACKAGES = ("tests/api/test_docs.py", "tests/api/test_third_party.py")


def test_every_module_has_a_test_module() -> None:
    """`model/prior.py` is tested by `tests/model/test_prior.py`, and perhaps by others beside it:
    `tests/model/test_prior_prefix.py`."""
    existing = {path.relative_to(ROOT / "tests") for path in TEST_MODULES}
    missing = []
    for module in modules():
        *package, name = module.name.split(".")
        if module.path.name in ("__init__.py", "__main__.py"):
            continue
        expected = Path(*package, f"test_{name.strip('_')}.py")
        if expected not in existing:
            missing.append(str(expected))
    assert missing == []


def test_a_test_module_of_the_core_is_named_after_a_module() -> None:
    """`tests/model/test_prior_prefix.py` tests a part of `model/prior.py`."""
    packages: dict[str, list[str]] = {package: [] for package in LAYERS}
    for module in modules():
        package, _, name = module.name.rpartition(".")
        packages.setdefault(package, []).append(name.strip("_"))
    wrong = set()
    for path in TEST_MODULES:
        package = path.parent.relative_to(ROOT / "tests").as_posix().replace("/", ".")
        subject = path.stem.removeprefix("test_")
        if package in packages and not any(
            subject == name or subject.startswith(f"{name}_") for name in packages[package]
        ):
            wrong.add(ids(path))
    assert wrong == set(TESTS_OF_PACKAGES)


@pytest.mark.parametrize("path", TEST_MODULES, ids=ids)
def test_no_test_module_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_TEST_MODULE_LINES
