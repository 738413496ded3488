"""Runs for reports."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.report_pages import Reader


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, tiny: Model, registry: Registry) -> Path:
    """A complete run of two items. Read only: work on a copy."""
    run = tmp_path_factory.mktemp("runs") / "song"
    words = ["generate", "--model", str(tiny.path), "--seconds", "0.5", "--items", "2", "--seed"]
    words += ["7", "--artist", "Ada Vale", "--genre", "rock,jazz", "--out", str(run), "--quiet"]
    result = CliRunner().invoke(build_app(registry), words)
    assert result.exit_code == 0, result.output
    return run


@pytest.fixture
def run(finished_run: Path, here: Path) -> Path:
    """A copy of the run, in the working folder."""
    return Path(shutil.copytree(finished_run, here / "song"))


@pytest.fixture
def page(run: Path, jukebox: Callable[..., Any]) -> Reader:
    """The report of the run."""
    assert jukebox("report", run).code == 0
    return Reader(run / "report.html")
