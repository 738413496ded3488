"""`jukebox --version --verbose`."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jukebox_cli import __version__
from jukebox_cli.cli import installation
from jukebox_cli.engine import library
from support.command_line import Jukebox, Refused, stdout_of
from support.engines import needs_native_engine

NOT_COMPILED = "jukebox-cli was installed without a C++ compiler"


def value_of(name: str) -> str:
    """The value of the line with this name."""
    lines = dict(line.split(": ", 1) for line in installation.describe_installation())
    return lines[name]


@pytest.mark.parametrize("words", [("--version", "--verbose"), ("--verbose", "--version")])
def test_verbose_adds_lines_to_the_version(words: tuple[str, ...], jukebox: Jukebox) -> None:
    lines = stdout_of(jukebox(*words)).splitlines()
    assert lines[0] == f"jukebox {__version__}"
    assert lines[1].startswith(f"python: {platform.python_version()} on {platform.system()}")
    assert lines[2].startswith(f"torch: {torch.__version__}, CPU capability ")
    names = [line.partition(": ")[0] for line in lines[3:]]
    assert names == ["engine on a CPU", "threads", "gpu"]


@pytest.mark.parametrize("more", [(), ("preset", "list")])
def test_verbose_goes_with_version_only(more: tuple[str, ...], refused: Refused) -> None:
    if more:
        hint = "use `jukebox --version --verbose`"
        refused("--verbose", *more, error="--verbose needs --version", hint=hint)
    else:
        refused("--verbose", error="missing command", hint="see `jukebox --help`")


@needs_native_engine
def test_the_kernels_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fastest, *_, plain = library.kernel_names()
    assert value_of("engine on a CPU") == (
        "torch (the native engine has no fast kernels for this CPU)"
        if fastest == plain
        else f"native, kernels {library.chosen_kernels()}"
    )
    monkeypatch.setenv(library.KERNELS_VARIABLE, plain)
    no_kernels = "torch (the native engine has no fast kernels for this CPU)"
    assert value_of("engine on a CPU") == no_kernels


@pytest.mark.usefixtures("no_native_engine")
def test_without_the_native_engine_it_says_why() -> None:
    assert value_of("engine on a CPU") == f"torch ({NOT_COMPILED})"


def test_a_library_that_cannot_be_loaded_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError("libstdc++.so.6: cannot open shared object file")

    monkeypatch.setattr(library, "import_module", fail)
    assert value_of("engine on a CPU") == (
        "torch (its library can't be loaded: libstdc++.so.6: cannot open shared object file)"
    )


def test_gpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert value_of("gpu") == "none"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert value_of("gpu") == "Apple (MPS)"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"NVIDIA H{number}")
    assert value_of("gpu") == "NVIDIA H0, NVIDIA H1"


NOTE = f"sampling with torch, not the faster native engine: {NOT_COMPILED}\n"


@pytest.mark.usefixtures("no_gpu", "no_native_engine")
def test_a_command_that_samples_without_the_native_engine_says_so_once(
    generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    def errors(*words: object) -> str:
        result = jukebox(*words)
        assert result.code == 0
        return result.err

    run = tmp_path / "run"
    generate("--out", run, "--until", "top", "--quiet")
    assert errors("upsample", run, "--until", "tokens").startswith(NOTE + "level 1: ")
    assert "torch" not in errors("upsample", run)  # nothing is sampled
    more = ("continue", run, "--until", "tokens", "--seconds", 0.05)
    assert "torch" not in errors(*more, "--engine", "torch")  # as was asked for
    assert errors(*more).count(NOTE) == 1
    assert errors(*more, "--quiet") == ""


@needs_native_engine
def test_there_is_no_note_with_the_native_engine(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("continue", run, "--until", "tokens", "--seconds", 0.05)
    assert "torch" not in result.err
