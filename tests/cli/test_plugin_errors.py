"""Errors of plugins on the command line: each names the plugin, its method and the problem."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.energy_plugin import SWITCH, Column, Energy, Odd, OddGuidance, raising, returning
from support.results import Result
from support.run_files import edit
from support.tiny_model import LEARNED, TINY, make_tiny


@pytest.fixture(scope="module")
def plugins() -> Registry:
    """The conditioners of the tiny model, and the plugins of this module."""
    from jukebox_plugins import artist, genre

    fake = SimpleNamespace(
        jukebox_conditioners=hookimpl(lambda: [Energy]),
        jukebox_samplers=hookimpl(lambda: [Odd, OddGuidance]),
    )
    return Registry({"artist": artist, "genre": genre, "energy": fake})


@pytest.fixture(scope="module")
def energetic(tmp_path_factory: pytest.TempPathFactory, plugins: Registry) -> Model:
    """A tiny model whose top level has the conditioner of this module."""
    text = TINY.replace("timing: {num_bins: 16}", "energy: {}")
    folder = tmp_path_factory.mktemp("models") / "energetic"
    return make_tiny(folder, plugins, text, {**LEARNED, "energy": {}})


@pytest.fixture
def jukebox(plugins: Registry) -> Callable[..., Result]:
    app = build_app(plugins)

    def run(*words: object) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        return Result(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def generate(here: Path, energetic: Model, jukebox: Callable[..., Result]) -> Callable[..., Result]:
    def run(*words: object) -> Result:
        return jukebox(
            *("generate", "--model", energetic.path, "--seconds", 0.2, "--until", "top"),
            *("--out", "run", "--quiet", "--energy", 0.5, *words),
        )

    return run


def test_plugins_that_keep_the_contract_are_no_error(generate: Callable[..., Result]) -> None:
    result = generate("--odd", 1, "--odd-guidance", 1)
    assert result.err == ""
    assert result.code == 0


def assert_reported(result: Result, plugin: str, problem: str) -> None:
    """The command named the plugin and its fault, and how to do without it."""
    hint = f"uninstall it, or switch it off with JUKEBOX_BLOCK={plugin}"
    assert result == Result(2, "", f"error: plugin '{plugin}': {problem}\n\nhint: {hint}\n")


@pytest.mark.parametrize(
    ("method", "replacement", "problem"),
    [
        ("read", raising(KeyError("x")), "raised KeyError: 'x'"),
        ("encode", raising(ValueError("bad")), "raised ValueError: bad"),
        ("encode", returning(None), "returned None, not a dict of numpy arrays"),
        (
            "encode",
            returning({"energy": [1.0]}),
            "returned a list as 'energy', not a numpy array of numbers",
        ),
        (
            "encode",
            lambda self, song, window, shape: {"energy": np.zeros(3 + (window.start == 0))},
            "returned 'energy' of shape (3,) for one window and (4,) for another",
        ),
    ],
)
def test_a_broken_conditioner_is_reported_before_anything_is_written(
    method: str,
    replacement: Callable[..., Any],
    problem: str,
    generate: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Energy, method, replacement)
    assert_reported(generate(), "energy", f"{method}() {problem}")
    assert not Path("run").exists()


INVALID, FIRST = "returned logits with", "token 0 of item 0 at level 2"

BROKEN_METHODS = [
    (Energy, "module", raising(ImportError("no numba")), "raised ImportError: no numba"),
    (Energy, "module", returning(None), "returned None, not a torch.nn.Module"),
    (Column, "forward", raising(RuntimeError("sizes differ")), "raised RuntimeError: sizes differ"),
    (Column, "forward", returning(None), "returned None, not a Conditioning"),
    (
        *(Column, "forward", returning(Conditioning(per_token=torch.zeros(1, 32, 64)))),
        "returned per_token of shape (1, 32, 64), not (1, 64, 32)",
    ),
    (Odd, "__call__", raising(ZeroDivisionError()), "raised ZeroDivisionError"),
    (Odd, "__call__", returning(None), "returned NoneType, not a tensor"),
    (
        *(Odd, "__call__", lambda self, logits, history: logits[:, :3]),
        "returned logits of shape (1, 3), not (1, 64)",
    ),
    (
        *(Odd, "__call__", lambda self, logits, history: logits.double()),
        "returned logits of dtype torch.float64, not torch.float32",
    ),
    (
        Odd,
        "__call__",
        lambda self, logits, history: logits * torch.nan,
        f"{INVALID} NaN for {FIRST}",
    ),
    (
        Odd,
        "__call__",
        lambda self, logits, history: logits.abs() * torch.inf,
        f"{INVALID} +inf for {FIRST}",
    ),
    (
        *(Odd, "__call__", lambda self, logits, history: torch.full_like(logits, -torch.inf)),
        f"{INVALID} nothing but -inf for {FIRST}",
    ),
    (OddGuidance, "combine", lambda self, a, b: (a - b) / 0, f"{INVALID} NaN for {FIRST}"),
]


@pytest.mark.parametrize(("kind", "method", "replacement", "problem"), BROKEN_METHODS)
def test_broken_networks_and_samplers_are_reported(
    kind: type,
    method: str,
    replacement: Callable[..., Any],
    problem: str,
    generate: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kind, method, replacement)
    plugin = getattr(kind, "name", "energy")
    assert_reported(generate("--odd", 1, "--odd-guidance", 1), plugin, f"{method}() {problem}")
    assert Run(Path("run")).num_tokens(2, 0) == 0


def test_a_sampler_that_fails_later_leaves_the_tokens_before(
    generate: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(self: Odd, logits: Tensor, history: Tensor) -> Tensor:
        if history.shape[1] == 20:
            raise ValueError("too late")
        return logits

    monkeypatch.setattr(Odd, "__call__", late)
    result = generate("--odd", 1)
    assert "plugin 'odd': __call__() raised ValueError: too late" in result.err
    assert Run(Path("run")).num_tokens(2, 0) == 20


def test_a_hook_that_fails_is_a_warning_and_the_work_goes_on(
    here: Path, energetic: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jukebox_plugins import artist, genre

    def watch(event: Mapping[str, Any]) -> None:
        raise RuntimeError(f"no network for {event['event']}")

    fake = SimpleNamespace(
        jukebox_conditioners=hookimpl(lambda: [Energy]), jukebox_event=hookimpl(watch)
    )
    registry = Registry({"artist": artist, "genre": genre, "energy": fake})
    words = ["generate", "--model", str(energetic.path), "--seconds", "0.2", "--out", "run", "-q"]
    result = CliRunner().invoke(build_app(registry), words)
    problem = "warning: plugin 'energy': jukebox_event raised RuntimeError: no network for"
    warned = result.stderr.splitlines()
    assert warned == [f"{problem} {kind}; {SWITCH}" for kind in ("level", "sampled", "decoded")]
    assert result.exit_code == 0


# a missing plugin


def test_a_model_names_the_package_it_needs(
    here: Path, energetic: Model, registry: Registry
) -> None:
    model = Model(shutil.copytree(energetic.path, here / "models" / "mine"))
    fields = model.fitted_conditioners(2)
    model.write_fitted_conditioners(2, fields, {"energy": "jukebox-energy 0.1"})
    words = ["generate", "--model", "mine", "--seconds", "0.2", "--out", "run"]
    result = CliRunner().invoke(build_app(registry), words)
    assert result.stderr == (
        "error: model 'mine' needs the conditioner 'energy'\n\n"
        "hint: install jukebox-energy 0.1, which it was trained with\n"
    )
    assert result.exit_code == 2
    assert not Path("run").exists()


def test_a_run_names_the_package_it_needs(
    here: Path, energetic: Model, generate: Callable[..., Result]
) -> None:
    from jukebox_plugins import artist, genre

    assert generate("--odd", 1).code == 0
    path = Path("run/run.yaml")
    edit(path, "versions:", "versions:\n  jukebox-odd: '2.0'")
    fake = SimpleNamespace(jukebox_conditioners=hookimpl(lambda: [Energy]))
    registry = Registry({"artist": artist, "genre": genre, "energy": fake})
    result = CliRunner().invoke(build_app(registry), ["upsample", "run"])
    assert result.stderr == (
        "error: run is sampled with --odd, which no installed plugin has\n\n"
        "hint: install jukebox-odd 2.0, which the run was made with\n"
    )
    assert result.exit_code == 2
