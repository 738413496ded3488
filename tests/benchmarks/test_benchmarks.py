"""benchmarks/run.py measures everything it says it does, and says it in JSON. No times here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jukebox_cli.storage.model import Model
from support.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
JOB = ("level 2", "level 1", "level 0", "decode", "start-up and loading", "in all")
ROWS = [
    *(f"generate --preset job.yaml: {stage}" for stage in JOB),
    *(f"sampling, level {level}, batch {batch}" for level in (2, 1, 0) for batch in (1, 16)),
    *(f"{way}, level {level}" for level in (0, 1, 2) for way in ("encode", "decode")),
    "encode, all levels, as tokenize does",
    *(
        f"train prior, level {level}, a step of 4 windows{how}"
        for level in (2, 1, 0)
        for how in ("", ", memory not kept")
    ),
    "jukebox --help",
    "python -c pass",
    *(f"spectral convergence, level {level}, mean of 1 songs" for level in (0, 1, 2)),
]


def benchmark(script: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_quick_has_every_row(tiny: Model, tone: Path, tmp_path: Path) -> None:
    preset = tmp_path / "job.yaml"
    preset.write_text("format: 1\nseconds: 0.3\nsong: {genre: rock}\n")
    words = ["--model", tiny.path, "--preset", preset, "--songs", tone, "--quick"]
    files = ["--json", tmp_path / "rows.json", "--write", tmp_path / "results" / "tiny.md"]
    done = benchmark("run.py", *words, *files)
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "rows.json").read_text())
    assert [r["what"] for r in data["rows"]] == ROWS
    assert all(r["low"] <= r["value"] <= r["high"] for r in data["rows"])
    assert all(r["value"] > 0 for r in data["rows"] if r["unit"] != "dB")
    assert {"processor", "cores", "torch"} <= set(data["machine"])
    written = (tmp_path / "results" / "tiny.md").read_text()
    assert done.stdout.strip() in written
    assert "* processor: " in written


def test_convergence_alone(tiny: Model, tone: Path) -> None:
    done = benchmark("convergence.py", tone, "--model", tiny.path, "--seconds", 1)
    assert done.returncode == 0, done.stderr
    assert [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]] == ROWS[-3:]


@pytest.mark.parametrize("name", ["5b_lyrics", "1b_lyrics"])
def test_published_sizes_are_measured_and_nothing_is_left(name: str, tmp_path: Path) -> None:
    words = [tmp_path / "scratch", "--model", name, "--quick", "--level", 0, 2, "--rounds", 1]
    done = benchmark("published.py", *words, "--write", tmp_path / "table.md")
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]]
    assert rows[2] == f"{name}: most memory while importing"
    assert f"{name}: sampling, level 0, fp32" in rows
    assert rows[-1] == f"{name}: most memory of drawing the top level, fp32"
    assert done.stdout.strip() in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "scratch").exists()


def test_a_folder_that_is_there_is_not_taken_for_scratch(tmp_path: Path) -> None:
    done = benchmark("published.py", tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} is there already\n\nhint: name a folder to be made\n"
    assert tmp_path.exists()


@pytest.mark.parametrize("script", ["run.py", "convergence.py"])
def test_a_mistake_is_one_line(script: str, tone: Path) -> None:
    words = [tone] if script == "convergence.py" else []
    done = benchmark(script, *words, "--model", "nothing-like-it")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no model 'nothing-like-it'\n\nhint: ")
