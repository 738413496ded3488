"""The example plugins, installed as packages and used on the command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.model import Model
from support.paths import ROOT
from support.tiny_model import TINY, make_tiny_codec

EXAMPLES = ("plugin", "plugin-loudness")
ATTACHED = TINY.replace("timing: {num_bins: 16}", "energy: {num_bins: 4}")

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which pip has installed the packages, without network."""
    target = tmp_path_factory.mktemp("target")
    sources = [
        str(shutil.copytree(ROOT / "examples" / name, tmp_path_factory.mktemp("source") / name))
        for name in EXAMPLES
    ]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    words = [sys.executable, "-m", "pip", "install", *offline, "-t", str(target), *sources]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def command(target: Path) -> Command:
    """`command("generate", "--help")` runs `jukebox` in a process that has the package."""
    main = "from jukebox_cli.cli import main; main()"

    def run(*words: object, **more: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("JUKEBOX_")}
        wide = {"PYTHONPATH": str(target), "COLUMNS": "150", "NO_COLOR": "1"}
        return subprocess.run(
            [sys.executable, "-c", main, *map(str, words)],
            env={**clean, **wide, "OMP_NUM_THREADS": "1", **more},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quiet song and a loud one."""
    folder = tmp_path_factory.mktemp("songs")
    for name, loudness in (("quiet", 0.02), ("loud", 0.3)):
        sound = loudness * np.random.default_rng(0).standard_normal(16000)
        soundfile.write(folder / f"{name}.wav", sound.clip(-1, 1), 8000)
    return folder


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose recipe attaches the plugin to the top level, without its priors yet."""
    return make_tiny_codec(tmp_path_factory.mktemp("models") / "energetic", ATTACHED).path


@pytest.fixture(scope="module")
def corpus(command: Command, songs: Path, codec: Path) -> Path:
    """The plugin's own command wrote the manifest that this was made from."""
    manifest = songs / "songs.jsonl"
    manifest.write_text(done(command("energy", songs / "quiet.wav", songs / "loud.wav")))
    out = songs.parent / "corpus"
    done(command("tokenize", manifest, "--model", codec, "--as", "corpus", "--out", out, "-q"))
    return out


@pytest.fixture(scope="module")
def trained(command: Command, corpus: Path, codec: Path) -> Model:
    """The model with its top level trained for two steps: the conditioner is fitted."""
    words = ("train", "prior", corpus, "--model", codec, "--level", 2, "--steps", 2, "--batch", 1)
    done(command(*words, "--quiet"))
    return Model(codec)


@pytest.fixture
def registry_with(target: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The plugins of this process and the package's."""
    monkeypatch.syspath_prepend(str(target))
    return load_installed(pytest.fail)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_tests_of_a_plugin_pass(name: str, target: Path) -> None:
    folder = ROOT / "examples" / name
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


def test_options_of_plugins_are_in_the_help(command: Command) -> None:
    text = done(command("generate", "--help"))
    assert "--energy" in text
    assert "From 0 (calm) to 1 (full)" in text
    assert "--fresh" in text
    assert "--energy" in done(command("continue", "--help"))
    assert "Measure the energy of songs" in done(command("--help"))


def test_the_list_names_their_packages(command: Command) -> None:
    rows = json.loads(done(command("plugin", "list", "--json")))["plugins"]
    mine = [row for row in rows if row["package"] == "jukebox-energy"]
    assert [(row["kind"], row["name"], row["options"]) for row in mine] == [
        ("conditioner", "energy", "--energy"),
        ("sampler", "fresh", "--fresh"),
        ("commands", "energy", ""),
        ("events", "energy", ""),
    ]


def test_a_blocked_plugin_is_not_listed(command: Command) -> None:
    assert "energy" not in done(command("generate", "--help", JUKEBOX_BLOCK="energy"))
    assert command("energy", "x.wav", JUKEBOX_BLOCK="energy").returncode == 2


def test_the_help_does_not_import_torch(target: Path) -> None:
    look = (
        "import sys; from jukebox_cli.registry import load_installed; r = load_installed(print)\n"
        "assert 'energy' in r.conditioners and 'fresh' in r.samplers\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    subprocess.run([sys.executable, "-c", look], env=environment, check=True)


def test_a_column_of_a_manifest_is_stored_in_a_corpus(corpus: Path) -> None:
    quiet, loud = (entry.song["energy"] for entry in Corpus(corpus).songs())
    assert quiet[0] < loud[0]


def test_an_invalid_value_in_a_manifest_is_an_error(
    command: Command, songs: Path, codec: Path
) -> None:
    manifest = songs / "bad.csv"
    manifest.write_text("audio,energy\nquiet.wav,clam\nloud.wav,0.5\n")
    out = songs.parent / "never"
    result = command("tokenize", manifest, "--model", codec, "--as", "corpus", "--out", out)
    assert result.returncode == 2
    assert f"error: {manifest}:2: no energy 'clam'" in result.stderr
    assert "hint: did you mean 'calm'?" in result.stderr
    assert not out.exists()


def test_training_fits_the_conditioner(trained: Model, corpus: Path) -> None:
    levels = sorted(entry.song["energy"][0] for entry in Corpus(corpus).songs())
    assert trained.fitted_conditioners(2)["energy"] == {
        "num_bins": 4,
        "low": levels[0],
        "high": levels[1],
    }


def test_the_conditioner_changes_the_logits(trained: Model, registry_with: Registry) -> None:
    prior = load_prior(trained, 2, registry_with, torch.device("cpu"))
    parts, shape = load_conditioners(trained, 2, registry_with), prior_shape(trained.config, 2)
    length = shape.context_length * shape.hop_length
    window = Window(0, length, length)
    tokens = torch.zeros(1, shape.context_length, dtype=torch.long)

    def logits(song: dict[str, object]) -> torch.Tensor:
        arrays = encode_window(parts, [song], window, shape)
        tensors = {n: {k: torch.from_numpy(a) for k, a in e.items()} for n, e in arrays.items()}
        with torch.inference_mode():
            return prior(tokens, prior.condition(tensors))

    low, high = (trained.fitted_conditioners(2)["energy"][k] for k in ("low", "high"))
    quiet, loud = logits({"energy": [low, low]}), logits({"energy": [high, high]})
    assert not torch.equal(quiet, loud)
    assert torch.equal(quiet, logits({"energy": [low, low]}))
    rising = logits({"energy": [low, high]})
    assert torch.equal(rising[:, 0], quiet[:, 0])  # it begins quiet
    assert not torch.equal(rising[:, -1], quiet[:, -1])


@pytest.mark.slow
def test_a_song_is_generated_with_the_options_of_plugins(
    command: Command, trained: Model, tmp_path: Path
) -> None:
    def tokens(name: str, *more: str) -> bytes:
        words = ("generate", "--model", trained.path, "--out", tmp_path / name, "--until", "top")
        done(command(*words, "--seconds", "0.5", "--quiet", *more))
        return (tmp_path / name / "tokens/level-2/item-00.safetensors").read_bytes()

    calm = tokens("calm", "--energy", "calm")
    assert calm != tokens("fresh", "--energy", "calm", "--fresh", "9")
    head, line = (tmp_path / "calm" / "speed.csv").read_text().splitlines()
    assert head == "level,tokens,seconds"
    assert line.startswith("2,250,")
    item = json.loads((tmp_path / "calm" / "items" / "item-00.json").read_text())
    assert item["segments"][0]["conditions"] == {"energy": [0.1, 0.1]}
    assert "jukebox-energy: 0.1.0" in (tmp_path / "calm" / "run.yaml").read_text()


def test_a_trained_model_names_the_package_it_needs(
    command: Command, trained: Model, tmp_path: Path
) -> None:
    assert trained.conditioner_packages(2)["energy"] == "jukebox-energy 0.1.0"
    words = ("generate", "--model", trained.path, "--out", tmp_path / "x", "--seconds", "0.5")
    needs = "error: model 'energetic' needs the conditioner 'energy'\n\nhint: "
    absent = command(*words, PYTHONPATH="")
    assert absent.stderr == f"{needs}install jukebox-energy 0.1.0, which it was trained with\n"
    blocked = command(*words, JUKEBOX_BLOCK="energy")
    assert blocked.stderr == f"{needs}JUKEBOX_BLOCK=energy switches it off: leave that out\n"
    assert absent.returncode == blocked.returncode == 2
    assert not (tmp_path / "x").exists()


def test_a_model_without_the_conditioner_refuses_its_option(
    command: Command, tiny: Model, tmp_path: Path
) -> None:
    result = command("generate", "--model", tiny.path, "--out", tmp_path / "x", "--energy", "0.5")
    assert result.returncode == 2
    assert "error: model 'tiny' has no use for --energy" in result.stderr
    assert not (tmp_path / "x").exists()
