"""A report in Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Browser, Page, sync_playwright
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.registry import Registry
from jukebox_cli.storage.documents import json_text
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.browser import (
    ALL_LOADED,
    CHROMIUM,
    FLAGS,
    LINES,
    SECONDS,
    Open,
    alignment,
)
from support.run_files import chord, write_chord


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Model, registry: Registry) -> Path:
    """A run of two items; the words of the first have times, those of the second have none."""
    place = tmp_path_factory.mktemp("browser")
    files = [write_chord(place / f"{name}.wav", SECONDS) for name in "ab"]
    run = place / "it's <i>my</i> & ünï song".replace("/", "-")
    words = ["tokenize", *map(str, files), "--model", str(tiny.path), "--out", str(run)]
    assert CliRunner().invoke(build_app(registry), words).exit_code == 0
    song = {"artist": "Ada <Vale>", "lyrics": "\n".join(" ".join(line) for line in LINES)}
    for item, spec in Run(run).read_items((0, 1)).items():
        segment = replace(spec.segments[0], conditions=song)
        Run(run).write_item(item, spec.with_segment(0, segment))
    (run / "alignment").mkdir()
    (run / "alignment" / "item-00.json").write_text(json_text(alignment()))
    for level in range(3):  # audible, and visible in the spectrograms
        path = Run(run).audio_file(0, level)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, chord(SECONDS), 8000)
    return run


@pytest.fixture(scope="module")
def report(run: Path, registry: Registry) -> Path:
    assert CliRunner().invoke(build_app(registry), ["report", str(run)]).exit_code == 0
    return run / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home: dict[str, str | float | bool] = {
        **os.environ,
        "HOME": str(tmp_path_factory.mktemp("home")),
    }
    with sync_playwright() as playwright:
        # the installed Chromium, so that none is downloaded; root can't have its sandbox
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, env=home, chromium_sandbox=False
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Opens a file in a large window with light colours, and nothing left from other tests."""
    with chromium.new_context(
        viewport={"width": 1200, "height": 900},
        color_scheme="light",
        reduced_motion="no-preference",
    ) as context:

        def open_file(path: Path) -> Page:
            page = context.new_page()
            page.goto(path.resolve().as_uri())
            return page

        yield open_file


@pytest.fixture
def page(open_page: Open, report: Path) -> Page:
    """The page, with all of its sounds loaded."""
    page = open_page(report)
    page.wait_for_function(ALL_LOADED)
    return page
