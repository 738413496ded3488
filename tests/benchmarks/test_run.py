"""benchmarks/run.py and published_sizes.py write all their rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jukebox_cli.storage.model import Model
from support.paths import ROOT

BENCHMARKS = ROOT / "benchmarks"
STAGES = ("level 2", "level 1", "level 0", "decode", "start-up and loading", "total")
ROWS = [
    *(f"generate --preset job.yaml: {stage}" for stage in STAGES),
    *(f"sampling, level {level}, batch {batch}" for level in (2, 1, 0) for batch in (1, 16)),
    "encode, all levels",
    *(f"decode, level {level}" for level in (0, 1, 2)),
    *(
        f"train prior, level {level}, step of 4 windows{allocator}"
        for level in (2, 1, 0)
        for allocator in ("", ", default allocator")
    ),
    "jukebox --help",
    "python -c pass",
    *(f"spectral convergence, level {level}" for level in (0, 1, 2)),
]


def benchmark(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def row_names(table: str) -> list[str]:
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


@pytest.mark.slow
def test_a_quick_run_has_every_row(tiny: Model, tone: Path, tmp_path: Path) -> None:
    preset = tmp_path / "job.yaml"
    preset.write_text("format: 2\nseconds: 0.3\nsong: {genre: rock}\n")
    options = ["--model", tiny.path, "--preset", preset, "--songs", tone, "--quick"]
    files = ["--json", tmp_path / "rows.json", "--write", tmp_path / "results" / "tiny.md"]
    done = benchmark("run.py", *options, *files)
    assert done.returncode == 0, done.stderr
    data = json.loads((tmp_path / "rows.json").read_text())
    assert [row["name"] for row in data["rows"]] == ROWS
    assert all(row["lowest"] <= row["value"] <= row["highest"] for row in data["rows"])
    assert all(row["value"] > 0 for row in data["rows"] if row["unit"] != "dB")
    assert {"processor", "cores", "torch"} <= set(data["machine"])
    written = (tmp_path / "results" / "tiny.md").read_text()
    assert done.stdout.strip() in written
    assert "* processor: " in written


def test_spectral_convergence_runs_alone(tiny: Model, tone: Path) -> None:
    done = benchmark("spectral_convergence.py", tone, "--model", tiny.path, "--clips", 1)
    assert done.returncode == 0, done.stderr
    assert row_names(done.stdout) == ROWS[-3:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["5b_lyrics", "1b_lyrics"])
def test_published_sizes_are_measured_and_the_scratch_folder_is_removed(
    name: str, tmp_path: Path
) -> None:
    options = [tmp_path / "scratch", "--model", name, "--quick", "--level", 0, 2, "--rounds", 1]
    done = benchmark("published_sizes.py", *options, "--write", tmp_path / "table.md")
    assert done.returncode == 0, done.stderr
    rows = row_names(done.stdout)
    assert rows[2] == f"{name}: peak memory of importing"
    assert f"{name}: sampling, level 0, fp32" in rows
    assert rows[-1] == f"{name}: peak memory of sampling the top level, fp32"
    assert done.stdout.strip() in (tmp_path / "table.md").read_text()
    assert not (tmp_path / "scratch").exists()


def test_an_existing_folder_is_not_used_as_scratch(tmp_path: Path) -> None:
    done = benchmark("published_sizes.py", tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} exists already\n\nhint: name a new folder\n"
    assert tmp_path.exists()


@pytest.mark.parametrize("script", ["run.py", "spectral_convergence.py"])
def test_an_unknown_model_is_one_error_line(script: str, tone: Path) -> None:
    songs = [tone] if script == "spectral_convergence.py" else []
    done = benchmark(script, *songs, "--model", "nothing-like-it")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no model 'nothing-like-it'\n\nhint: ")


def test_help_says_what_each_script_measures() -> None:
    done = benchmark("run.py", "--help")
    imported = {
        line.split()[1]
        for line in (BENCHMARKS / "run.py").read_text().splitlines()
        if line.startswith("from ") and "jukebox_cli" not in line
    }
    parts = {name for name in imported if (BENCHMARKS / f"{name}.py").exists()}
    assert len(parts) >= 6
    assert all(name in done.stdout for name in parts - {"machine", "measurements"})
