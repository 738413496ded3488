"""Errors inside plugins: each names the plugin, its method, and what was wrong."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
import torch
from jukebox_plugins.samplers import Temperature
from torch import Tensor, nn
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Values, Window
from jukebox_cli.interfaces.contract import (
    PluginError,
    find_entry_point,
    method_error,
    plugin_errors,
    read_values,
)
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.results import Result, refusal
from support.tiny_model import LEARNED, TINY, make_tiny

SWITCH = "uninstall it, or switch it off with JUKEBOX_BLOCK=energy"


class Column(nn.Module):
    """A number per song, added at every position."""

    def __init__(self, shape: PriorShape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, energy: Tensor) -> Any:
        size = len(energy), self.shape.context_length, self.shape.width
        return Conditioning(per_token=energy.new_zeros(size))


@dataclass(frozen=True)
class Energy(Conditioner):
    name: ClassVar[str] = "energy"

    @dataclass(frozen=True)
    class Input:
        energy: Annotated[float | None, "How loud."] = None

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {"energy": np.zeros(4, np.float32)}

    def module(self, shape: PriorShape) -> nn.Module:
        return Column(shape)


@dataclass(frozen=True)
class Odd(Sampler):
    """A sampler; the tests replace what it does."""

    name: ClassVar[str] = "odd"
    odd: Annotated[float | None, "How odd."] = None

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits


@dataclass(frozen=True)
class OddGuidance(GuidanceSampler):
    name: ClassVar[str] = "odd-guidance"
    odd_guidance: Annotated[float | None, "How odd."] = None

    def combine(self, cond_logits: Tensor, uncond_logits: Tensor) -> Tensor:
        return cond_logits


def returning(value: object) -> Callable[..., Any]:
    """A method that returns a value, whatever it is called with."""
    return lambda *arguments, **named: value


def raising(error: Exception) -> Callable[..., Any]:
    """A method that raises an error, whatever it is called with."""

    def method(*arguments: object, **named: object) -> Any:
        raise error

    return method


# texts


def test_the_plugin_and_its_package_are_found_by_module_and_by_name() -> None:
    inside = find_entry_point("jukebox_plugins.lyrics.network", "anything")
    named = find_entry_point("jukebox_cli.model.embeddings", "artist")
    assert inside is not None
    assert inside.name == "lyrics"
    assert named is not None
    assert named.module == "jukebox_plugins.artist"
    assert find_entry_point("elsewhere", "energy") is None


def test_an_error_of_a_first_party_plugin_asks_to_report_it() -> None:
    error = method_error(Temperature(0.5), "__call__", "returned NaN")
    assert error.message == (
        "plugin 'samplers' (package jukebox-cli): temperature.__call__() returned NaN"
    )
    assert error.hint == (
        "please report it; `jukebox --traceback ...` shows where; "
        "or uninstall it, or switch it off with JUKEBOX_BLOCK=samplers"
    )


def test_an_error_of_a_third_party_plugin_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "jukebox_energy-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jukebox-energy\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[jukebox]\nenergy = {__name__}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    error = method_error(Energy(), "encode", "returned None, not a dict of numpy arrays")
    assert error.message == (
        "plugin 'energy' (package jukebox-energy): encode() returned None, "
        "not a dict of numpy arrays"
    )
    assert error.hint == (
        "report it to the authors of jukebox-energy; `jukebox --traceback ...` shows where; "
        f"or {SWITCH}"
    )


@pytest.mark.parametrize(
    "error", [InputError("no file x"), PermissionError("no"), torch.OutOfMemoryError("full")]
)
def test_errors_about_input_and_about_the_machine_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, plugin_errors(Energy(), "read"):
        raise error
    assert caught.value is error


def test_other_exceptions_keep_their_cause() -> None:
    with pytest.raises(PluginError) as caught, plugin_errors(Energy(), "read"):
        raise KeyError("x")
    assert caught.value.message == "plugin 'energy': read() raised KeyError: 'x'"
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_exception_without_a_text_is_named() -> None:
    error = pytest.raises(PluginError, match=r"read\(\) raised AssertionError$")
    with error, plugin_errors(Energy(), "read"):
        raise AssertionError


# reading values


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        (None, "returned None, not a dict of JSON values"),
        ({1: 2}, "returned {1: 2}, not a dict of JSON values"),
        (
            {"energy": {1, 2}},
            "returned values that are not JSON: Object of type set is not JSON serializable",
        ),
    ],
)
def test_values_must_be_json(
    returned: object, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Energy, "read", returning(returned))
    assert refusal(read_values, Energy(), {}, Path()) == (
        f"plugin 'energy': read() {problem}",
        SWITCH,
    )


def test_values_are_what_the_conditioner_reads() -> None:
    values: Values = {"energy": 0.5}
    assert read_values(Energy(), values, Path()) == values


# on the command line


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
def test_broken_values_are_reported_before_anything_is_written(
    method: str,
    replacement: Callable[..., Any],
    problem: str,
    generate: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Energy, method, replacement)
    assert_reported(generate(), "energy", f"{method}() {problem}")
    assert not Path("run").exists()


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
    (Odd, "__call__", lambda self, logits, history: logits * torch.nan, "returned NaN"),
    (Odd, "__call__", lambda self, logits, history: logits.abs() * torch.inf, "returned +inf"),
    (
        *(Odd, "__call__", lambda self, logits, history: torch.full_like(logits, -torch.inf)),
        "returned -inf for every token",
    ),
    (OddGuidance, "combine", lambda self, a, b: (a - b) / 0, "returned NaN"),
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


def test_a_hook_that_fails_is_reported_when_it_is_called(
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
    assert result.stderr == (
        "error: plugin 'energy': jukebox_event raised RuntimeError: no network for level\n\n"
        f"hint: {SWITCH}\n"
    )
    assert result.exit_code == 2


# a plugin that is absent


def test_a_model_says_which_package_it_needs(
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
