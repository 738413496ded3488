"""docs/plugins.md: it names everything in the API, and the plugin that it builds works."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import jukebox_cli.api
from jukebox_cli.interfaces import hooks
from support.import_graph import imports
from support.paths import ROOT

GUIDE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
API = Path(jukebox_cli.api.__file__).parent
MODULES = ["jukebox_cli.api", *(f"jukebox_cli.api.{p.stem}" for p in sorted(API.glob("[a-z]*.py")))]
NAMES = [(m, name) for m in MODULES for name in importlib.import_module(m).__all__]
#: Code blocks that are files, ```python path/to/module.py```.
FILES = dict(re.findall(r"^```\w+ (\S+\.\w+)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL))
PLUGIN_SOURCES = sorted(
    path for folder in ("plugins", "examples") for path in (ROOT / folder).rglob("*.py")
    if folder == "plugins" or path.relative_to(ROOT / folder).parts[0].startswith("plugin")
)  # fmt: skip


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[f"{m}.{n}" for m, n in NAMES])
def test_a_name_of_the_api_is_documented(module: str, name: str) -> None:
    assert re.search(rf"`{name}\b", GUIDE), f"{name} is not in docs/plugins.md"
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__doc__
        assert not value.__doc__.startswith(f"{name}(")  # what dataclasses write themselves


@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_the_api_exports_all_that_it_defines(module: str) -> None:
    found = importlib.import_module(module)
    public = {
        name
        for name, value in vars(found).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    }
    assert public <= set(found.__all__)
    assert f"`{module}`" in GUIDE


@pytest.mark.parametrize("path", PLUGIN_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_plugins_and_their_tests_import_only_the_api(path: Path) -> None:
    core = {n for n in imports(ast.parse(path.read_text())) if n.startswith("jukebox_cli")}
    assert {name for name in core if not name.startswith("jukebox_cli.api")} == set()


@pytest.mark.parametrize("hook", [name for name in dir(hooks) if name.startswith("jukebox_")])
def test_a_hook_is_in_the_guide_with_its_arguments(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hooks, hook)).parameters)
    assert f"`{hook}({arguments})`" in GUIDE


def test_the_guide_names_every_event() -> None:
    kinds = set()
    for path in [*(ROOT / "jukebox_cli").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        kinds |= set(re.findall(r"\.log_event\(\"(\w+)\"", path.read_text(encoding="utf-8")))
    rows = set(re.findall(r"^\| `(\w+)` \| .* \| .* \|$", GUIDE.partition("## Events")[2], re.M))
    assert kinds
    assert kinds <= rows


def test_the_guide_has_the_order_of_the_samplers() -> None:
    from jukebox_cli.registry import load_installed

    table = re.findall(r"^\| (\d+) \| (\S+) \|", GUIDE, re.MULTILINE)
    samplers = load_installed(pytest.fail).samplers
    orders = {str(s.order): name for name, s in samplers.items() if name != "guidance"}
    assert dict(table) == orders


# the plugin of the guide


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the guide's files make."""
    folder = tmp_path_factory.mktemp("jukebox-tempo")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def python(package: Path, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with the guide's package."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("JUKEBOX_")}
    variables |= {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=package,
        env={**variables, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_tests_of_the_guide_pass(package: Path) -> None:
    result = python(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert result.returncode == 0, result.stdout
    assert "10 passed" in result.stdout


def test_the_guides_modules_do_not_load_torch(package: Path) -> None:
    code = (
        "import sys, jukebox_tempo; print(sorted({'torch', 'numpy', 'jinja2'} & set(sys.modules)))"
    )
    assert python(package, "-c", code).stdout == "[]\n"


@pytest.mark.slow
def test_the_guides_conditioner_is_trained(package: Path, tmp_path: Path) -> None:
    """From a manifest to a fitted conditioner; then added to a model that lacks it."""
    rows = []
    for name, tempo in (("slow", 70), ("fast", 150)):
        noise = 0.1 * np.random.default_rng(tempo).standard_normal(8000)
        soundfile.write(tmp_path / f"{name}.wav", noise, 8000)
        rows.append({"audio": f"{name}.wav", "tempo": tempo})
    (tmp_path / "songs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    script = tmp_path / "train.py"
    script.write_text(TRAIN, encoding="utf-8")
    result = python(package, script, tmp_path)
    assert result.returncode == 0, result.stderr + result.stdout
    fitted = read_fitted(tmp_path / "models" / "mine")
    assert fitted["conditioners"]["tempo"] == {"num_bins": 4, "slowest": 70.0, "fastest": 150.0}
    assert read_fitted(tmp_path / "models" / "added")["conditioners"]["tempo"]["num_bins"] == 8


def read_fitted(model: Path) -> Any:
    return json.loads((model / "prior-2.json").read_text())


TRAIN = """
import os, sys
from pathlib import Path
import jukebox_tempo
from jukebox_cli.api import Registry
from jukebox_cli.api.testing import run_command, write_tiny_model

os.chdir(sys.argv[1])
registry = Registry({"tempo": jukebox_tempo})

def jukebox(*words):
    result = run_command(registry, *words)
    assert result.exit_code == 0, result.stderr

write_tiny_model(Path("models/mine"), registry, {"tempo": {"num_bins": 4}}, with_priors=False)
write_tiny_model(Path("models/plain"), registry)
jukebox("tokenize", "songs.jsonl", "--model", "models/mine", "--as", "corpus", "--out", "corpus")
train = ("train", "prior", "corpus", "--level", 2, "--steps", 2, "--batch", 1, "--quiet")
jukebox(*train, "--model", "models/mine")
jukebox("generate", "--model", "models/mine", "--tempo", 120, "--seconds", 0.1, "--until", "top",
        "--out", "run", "--quiet")
jukebox(*train, "--from", "models/plain", "--add", "tempo", "--set", "tempo.num_bins=8",
        "--model", "models/added")
"""


def test_the_guides_options_exist() -> None:
    """Options in the guide's commands are those of the program, or of the guide's plugin."""
    from typer.main import get_command

    from jukebox_cli.cli import build_app
    from jukebox_cli.registry import load_installed

    app = get_command(build_app(load_installed(pytest.fail)))
    for line in re.findall(r"^(jukebox .*)$", GUIDE, re.MULTILINE):
        words, command = line.split()[1:], app
        while getattr(command, "commands", None):
            command = command.commands[words.pop(0)]  # type: ignore[attr-defined]
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        assert {w for w in words if w.startswith("--")} <= known | {"--tempo"}, line
