"""Completion of values, as a shell asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jukebox_cli.storage.model import Model
from support.command_line import MAIN

HEAVY = ("torch", "numpy", "soundfile", "safetensors", "pretty_midi")
SPY = f"""
import sys
try:
    {MAIN}
finally:
    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.fixture
def folder(tmp_path: Path, tiny: Model) -> Path:
    """A working folder with a model, runs and a preset."""
    shutil.copytree(tiny.path, tmp_path / "models" / "tiny")
    for run in ("runs/rock", "runs/rock-2", "here"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "run.yaml").touch()
    (tmp_path / "runs" / "not-a-run").mkdir()
    (tmp_path / "mine.yaml").write_text("model: tiny\n")
    return tmp_path


def complete(folder: Path, *words: str, shell: str = "bash") -> list[str]:
    """The completions of the last word."""
    line = " ".join(["jukebox", *words])
    environment = {
        **os.environ,
        "_JUKEBOX_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(["jukebox", *words]),
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run(
        [sys.executable, "-c", SPY], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.stderr == "[]\n"  # nothing heavy was imported
    return [line for line in done.stdout.splitlines() if line]


def test_presets_are_the_built_in_ones_and_files(folder: Path) -> None:
    assert complete(folder, "generate", "--preset", "ro") == ["rock"]
    assert complete(folder, "generate", "--preset", "mi") == ["mini-recipe", "mine.yaml"]
    assert complete(folder, "preset", "show", "jazz") == ["jazz"]
    assert complete(folder, "train", "vqvae", "--preset", "mini-") == ["mini-recipe"]


def test_models_are_the_built_in_ones_and_local_ones(folder: Path) -> None:
    assert complete(folder, "generate", "--model", "") == ["mini", "tiny"]
    assert complete(folder, "model", "show", "t") == ["tiny"]
    assert complete(folder, "tokenize", "--model", "m") == ["mini"]


@pytest.mark.parametrize(
    ("command", "word"),
    [("continue", ""), ("upsample", ""), ("decode", ""), ("run", "show"), ("run", "rm")],
)
def test_runs_are_those_in_the_working_folder_and_in_runs(
    command: str, word: str, folder: Path
) -> None:
    words = (command, word) if word else (command,)
    assert complete(folder, *words, "") == ["here", "runs/rock", "runs/rock-2"]
    assert complete(folder, *words, "runs/rock-") == ["runs/rock-2"]


@pytest.mark.slow
def test_names_are_those_of_the_chosen_model(folder: Path) -> None:
    tiny = ("generate", "--model", "tiny")
    assert complete(folder, *tiny, "--genre", "") == ["jazz", "rock"]
    assert complete(folder, *tiny, "--artist", "c") == [r"Cy\ Norton"]
    assert complete(folder, *tiny, "--artist", r"cy\ n") == [r"Cy\ Norton"]
    assert complete(folder, "generate", "--preset", "mine.yaml", "--artist", "b") == [r"Bo\ Marsh"]
    assert complete(folder, "continue", "--artist", "paper") == [r"Paper\ Harbour"]


def test_other_shells_get_unquoted_completions(folder: Path) -> None:
    assert complete(folder, "generate", "--artist", "paper", shell="fish") == ["Paper Harbour"]


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--model", "nosuch", "--genre", ""),
        ("generate", "--preset", "nosuch", "--artist", ""),
        ("generate", "--lyrics", ""),
        ("upsample", "nosuch"),
    ],
)
def test_unknown_words_have_no_completions(words: tuple[str, ...], folder: Path) -> None:
    assert complete(folder, *words) == []
