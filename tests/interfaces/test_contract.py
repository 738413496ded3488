"""Errors inside plugins: each names the plugin, its method and the problem."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from jukebox_plugins.samplers import Temperature

from jukebox_cli.interfaces.conditioner import Values
from jukebox_cli.interfaces.contract import (
    PluginError,
    find_entry_point,
    method_error,
    plugin_errors,
    read_values,
)
from jukebox_cli.interfaces.errors import InputError
from support.energy_plugin import SWITCH, Energy, returning
from support.results import refusal

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
    (info / "entry_points.txt").write_text(f"[jukebox]\nenergy = {Energy.__module__}\n")
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
