"""Players, items and levels as the page lays them out."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from jukebox_plugins.report.views import base64_pieces, format_seconds, level_rank

from jukebox_cli.storage.model import Model
from support.report_pages import Reader, truncate
from support.results import Result

Jukebox = Callable[..., Result]


def test_unfinished_levels_say_how_far_they_are(run: Path, tiny: Model, jukebox: Jukebox) -> None:
    truncate(run, tiny, 0, 0, 0)
    truncate(run, tiny, 1, 0, 400)
    truncate(run, tiny, 0, 1, 500)
    assert jukebox("report", run).code == 0
    page = Reader(run / "report.html")
    assert "level 0 not begun level 1 sampled to 0.4 of 0.5 s" in page.text
    assert "level 0 sampled to 0.2 of 0.5 s" in page.text
    labels = [a["aria-label"] for a in page.all("audio")]
    assert labels == ["Item 0, level 2", "Item 1, level 1", "Item 1, level 2"]


def test_an_item_without_sound_has_no_players(run: Path, tiny: Model, jukebox: Jukebox) -> None:
    for level in range(3):
        truncate(run, tiny, level, 0, 30)
    assert jukebox("report", run).code == 0
    page = Reader(run / "report.html")
    assert "level 2 sampled to 0.1 of 0.5 s" in page.text
    assert len(page.all("audio")) == 3


def test_recordings_are_named(here: Path, tone: Path, tiny: Model, jukebox: Jukebox) -> None:
    jukebox("tokenize", tone, "--model", tiny.path, "--out", "recorded")
    jukebox("report", "recorded")
    assert "Item 0 2 s all of it from a recording" in Reader(Path("recorded/report.html")).text
    jukebox("continue", "recorded", "--seconds", 0.1)
    jukebox("report", "recorded")
    page = Reader(Path("recorded/report.html"))
    assert "Item 0 2.1 s the first 2 s from a recording" in page.text


def test_an_item_with_other_conditions_shows_them(run: Path, jukebox: Jukebox) -> None:
    jukebox("continue", run, "--only", "1", "--seconds", "0.1", "--artist", "Bo Marsh")
    jukebox("report", run)
    text = Reader(run / "report.html").text
    first, second = text.index("Item 0 0.5 s"), text.index("Item 1 0.6 s")
    assert "Bo Marsh" not in text[first:second]
    assert text[second:].startswith("Item 1 0.6 s artist Bo Marsh genre rock, jazz")


@pytest.mark.parametrize(
    ("number", "text"), [(0.52, "0.5 s"), (6.0, "6 s"), (61.2, "1:01 min"), (3600, "60:00 min")]
)
def test_seconds_are_formatted(number: float, text: str) -> None:
    assert format_seconds(number) == text


@pytest.mark.parametrize(
    ("level", "num_levels", "text"),
    [(0, 3, "the finest, "), (1, 3, ""), (2, 3, "the coarsest, "), (0, 1, "")],
)
def test_the_outer_levels_are_named(level: int, num_levels: int, text: str) -> None:
    assert level_rank(level, num_levels) == text


def test_base64_in_pieces_is_base64() -> None:
    data = bytes(range(256)) * 3000
    assert len(list(base64_pieces(data))) == 4
    assert base64.b64decode("".join(base64_pieces(data))) == data
