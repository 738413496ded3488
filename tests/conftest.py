"""Fixtures: a tiny model with random weights, sounds, and the command line as a function."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.engine import library
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.storage.model import Model
from support import originals
from support.results import Result
from support.tiny_model import make_tiny

torch.set_num_threads(1)
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels run on CPU tensors; read when it is imported


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("JUKEBOX_") and n != "JUKEBOX_GOLDEN"]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is remembered in the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The first-party plugins, through their entry points."""
    return load_installed(pytest.fail)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Model:
    """A whole model with random weights. Read only: make another with `make_tiny` to change it."""
    return make_tiny(tmp_path_factory.mktemp("models") / "tiny", registry)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def originals_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model in the original program's layout, with tiny random weights."""
    return originals.write(tmp_path_factory.mktemp("originals") / "checkpoints")


@pytest.fixture
def checkpoints(originals_template: Path, here: Path) -> Path:
    """A folder of the original's checkpoints that tests may damage."""
    return Path(shutil.copytree(originals_template, here / "checkpoints"))


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Two seconds of a chord, 8 kHz mono."""
    time = np.arange(16000) / 8000
    sound = sum(0.2 * np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6))
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.asarray(sound, np.float32), 8000)
    return path


@pytest.fixture
def jukebox(registry: Registry) -> Callable[..., Result]:
    """`jukebox("generate", "--seconds", 2)` runs the command line in this process."""
    app = build_app(registry)

    def run(*words: object) -> Result:
        result = CliRunner().invoke(app, [str(w) for w in words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def no_native_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation that was made without a compiler."""

    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    def forget() -> None:
        library.load.cache_clear()
        library.kernel_names.cache_clear()

    with monkeypatch.context() as patch:
        patch.setattr(library, "import_module", fail)
        forget()
        yield
    forget()
