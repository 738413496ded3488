"""Fixtures: a tiny model with random weights, sounds, and the command line as a function."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import originals
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.config.yaml_files import load
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.loader import new_prior
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import Registry, installed
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import save_tensors

torch.set_num_threads(1)

#: Three levels with hops 4, 8 and 16 at 8 kHz; windows of 64 tokens.
TINY = """
format: 1
vqvae:
  sample_rate: 8000
  strides: [[4], [2], [2]]
  bins: 64
  embed: 8
  widths: [8, 8, 8]
  depths: [2, 2, 2]
priors:
  - {frames: 64, width: 32, depth: 4, heads: 2, blocks: 8, patterns: [row, column, previous, dense],
     conditioners: {artist: {}}, upper: {width: 16, depth: 1}}
  - {frames: 64, width: 32, depth: 3, heads: 2, blocks: 8,
     conditioners: {artist: {}, genre: {}}, upper: {width: 16, depth: 1}}
  - {frames: 64, width: 32, depth: 3, heads: 2, blocks: 8,
     conditioners: {artist: {}, genre: {}, timing: {bins: 16}}}
"""
LEARNED = {
    "artist": {"names": ["Ada Vale", "Bo Marsh", "Cy Norton"]},
    "genre": {"most": 5, "names": ["jazz", "rock"]},
    "timing": {"bins": 16, "shortest": 0.0, "longest": 600.0},
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("JUKEBOX_") and n != "JUKEBOX_GOLDEN"]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The first-party plugins, through their entry points."""
    return installed(pytest.fail)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Model:
    """A whole model with random weights. Read only: make another with `make_tiny` to change it."""
    return make_tiny(tmp_path_factory.mktemp("models") / "tiny", registry)


def make_tiny(
    path: Path, registry: Registry, text: str = TINY, learned: Mapping[str, Any] = LEARNED
) -> Model:
    """Writes a tiny model with random weights, the same each time."""
    recipe = path.parent / f"{path.name}-recipe.yaml"
    recipe.write_text(text)
    model = Model(path)
    model.write_config(load(ModelConfig, recipe))
    torch.manual_seed(0)
    vqvae = VQVAE(model.config.vqvae)
    for number in range(model.config.vqvae.levels):
        level = vqvae.level(number)
        level.codebook.vectors.normal_()
        save_tensors(model.weights(f"vqvae-{number}"), level.state_dict())
    for number, prior in enumerate(model.config.priors):
        parts = {n: registry.conditioner(n, learned[n]) for n in prior.conditioners}
        model.write_learned(number, {n: learned[n] for n in prior.conditioners})
        module = new_prior(model.config, number, parts)
        with torch.no_grad():
            for parameter in module.parameters():  # weights of size 0.02 would hardly differ
                parameter.mul_(5.0)
        save_tensors(model.weights(f"prior-{number}"), module.state_dict())
    return model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def originals_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model in the original program's layout, with tiny random weights."""
    return originals.write(tmp_path_factory.mktemp("originals") / "theirs")


@pytest.fixture
def theirs(originals_template: Path, here: Path) -> Path:
    """A folder of the original's checkpoints, to be spoiled."""
    return Path(shutil.copytree(originals_template, here / "theirs"))


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Two seconds of a chord, 8 kHz mono."""
    time = np.arange(16000) / 8000
    sound = sum(0.2 * np.sin(2 * np.pi * f * time) for f in (220.0, 277.2, 329.6))
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.asarray(sound, np.float32), 8000)
    return path


def refusal(do: Callable[..., object], *words: Any) -> tuple[str, str | None]:
    """Message and hint of what must be refused."""
    with pytest.raises(InputError) as caught:
        do(*words)
    return caught.value.message, caught.value.hint


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


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
