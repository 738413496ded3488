"""artist: one embedding per artist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jukebox_plugins.artist import Artist

from jukebox_cli.interfaces.command_options import CommandOptions, read_options
from jukebox_cli.interfaces.conditioner import PriorShape, Song, Window
from support.results import refusal

SHAPE = PriorShape(width=12, context_length=16, hop_length=128, sample_rate=8000)
WINDOW = Window(0, 2048, 10240)
SONGS: list[Song] = [{"artist": "Bo Marsh"}, {"artist": "Ada Vale"}, {}]


def test_ids_are_counted_from_one_in_order_and_zero_is_none() -> None:
    artist = Artist().fit(SONGS)
    assert artist.names == ("Ada Vale", "Bo Marsh")
    assert [artist.label_id(n) for n in ("Ada Vale", "Bo Marsh")] == [1, 2]
    for none in ({}, {"artist": ""}, {"artist": None}):
        assert artist.encode(none, WINDOW, SHAPE)["ids"].tolist() == [0]


@pytest.mark.parametrize("name", ["ada vale", "ADA VALE", "Ada vale"])
def test_case_is_ignored(name: str) -> None:
    ids = Artist(names=("Ada Vale",)).encode({"artist": name}, WINDOW, SHAPE)["ids"]
    assert ids.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Ada", "did you mean 'Ada Vale'?"), ("xyz", "known are: Ada Vale, Bo Marsh")],
)
def test_an_unknown_artist_is_an_error(name: str, hint: str) -> None:
    artist = Artist().fit(SONGS)
    message = f"no artist '{name}' in this model, which knows 2"
    assert refusal(artist.encode, {"artist": name}, WINDOW, SHAPE) == (message, hint)


def test_a_lenient_model_ignores_an_unknown_artist() -> None:
    artist = Artist(names=("Ada Vale",), lenient=True)
    assert artist.encode({"artist": "xyz"}, WINDOW, SHAPE)["ids"].tolist() == [0]


def test_an_artist_may_have_other_spellings() -> None:
    artist = Artist(names=("Ada Vale", "Bo Marsh"), aliases={"Bob Marsh": "Bo Marsh"})
    assert artist.label_id("bob marsh") == 2


@pytest.mark.parametrize("value", [311, ["a"], True])
def test_an_artist_must_be_text(value: Any) -> None:
    assert refusal(Artist().read, {"artist": value}, Path()) == (
        f"can't read artist {value!r}",
        "write a name, in quotes",
    )


@pytest.mark.parametrize("name", ["Ada Vale", "Ada 'Vale' & co", "--out", ""])
def test_values_are_written_as_an_option(name: str) -> None:
    values = Artist().read({"artist": f" {name} "}, Path())
    options = Artist().to_options(values)
    assert options == CommandOptions((("--artist", name),))
    assert read_options(Artist(), options) == values


def test_the_vocabulary_is_the_artists() -> None:
    assert Artist(names=("Ada Vale",)).vocabulary() == {"artist": ("Ada Vale",)}


def test_an_artist_is_described_by_name() -> None:
    assert Artist().describe({"artist": "Ada Vale", "genre": ["folk"]}) == {"artist": "Ada Vale"}
    assert Artist().describe({}) == {}
