"""The command `jukebox report`: what it prints and writes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jukebox_cli.cli import build_app
from jukebox_cli.registry import load_installed
from support.report_pages import Reader
from support.results import Result
from support.run_files import contents

Jukebox = Callable[..., Result]


def test_the_run_is_not_changed(run: Path, jukebox: Jukebox) -> None:
    before = contents(run)
    jukebox("report", run, "--out", "shared/page.html")
    assert contents(run) == before
    assert Path("shared/page.html").is_file()


def test_items_and_levels_can_be_chosen(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("report", run, "--only", "1", "--levels", "0,2", "--json")
    report = run / "report.html"
    assert json.loads(result.out) == {
        "report": str(report),
        "items": [1],
        "players": 2,
        "bytes": report.stat().st_size,
    }
    labels = [a["aria-label"] for a in Reader(report).all("audio")]
    assert labels == ["Item 1, level 0", "Item 1, level 2"]


def test_messages_go_to_stderr(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("report", run)
    size = (run / "report.html").stat().st_size / 1e6
    assert result.out == f"{run}/report.html\n"
    wrote = f"wrote {run}/report.html: 6 players, {size:.1f} MB"
    assert result.err == f"report: 24,000 samples\n{wrote}\n"
    quiet = jukebox("report", run, "--quiet", "--only", "0", "--levels", "2")
    assert (quiet.out, quiet.err) == (f"{run}/report.html\n", "")


def test_a_large_page_has_a_hint(
    run: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jukebox_plugins.report.command.LARGE_PAGE", 1000)
    text = f"{run}/report.html is large: --only and --levels make it smaller\n"
    assert text in jukebox("report", run).err


def test_the_command_line_does_not_import_the_page_renderer() -> None:
    code = (
        "import sys; from jukebox_cli.cli import build_app;"
        "from jukebox_cli.registry import load_installed; build_app(load_installed(print));"
        "print([m for m in ('torch', 'jinja2', 'soundfile', 'numpy', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_without_the_plugin_there_is_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUKEBOX_BLOCK", "report")
    commands = build_app(load_installed(pytest.fail)).registered_commands
    assert "report" not in [c.callback.__name__ for c in commands if c.callback]
