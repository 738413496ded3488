"""genre: the sum of the embeddings of several genres."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from jukebox_plugins.genre import Genre
from torch import Tensor

from jukebox_cli.interfaces.command_options import CommandOptions, read_options
from jukebox_cli.interfaces.conditioner import PriorShape, Song, Window
from support.results import refusal

SHAPE = PriorShape(width=12, context_length=16, hop_length=128, sample_rate=8000)
WINDOW = Window(0, 2048, 10240)
SONGS: list[Song] = [{"genre": ["rock", "jazz"]}, {"genre": ["folk"]}, {}]


@pytest.mark.parametrize(
    ("text", "genres"),
    [
        ("rock", ["rock"]),
        (" rock , jazz ", ["rock", "jazz"]),
        ("rock,,", ["rock"]),
        (["rock", "jazz"], ["rock", "jazz"]),
        ("", []),
    ],
)
def test_genres_are_separated_by_commas(text: Any, genres: list[str]) -> None:
    assert Genre().read({"genre": text}, Path()) == {"genre": genres}


@pytest.mark.parametrize("value", [3, False, ["rock", 3], {"rock": 1}])
def test_genres_must_be_text(value: Any) -> None:
    assert refusal(Genre().read, {"genre": value}, Path()) == (
        f"can't read genre {value!r}",
        "write genres separated by commas, in quotes",
    )


@pytest.mark.parametrize(
    ("genres", "ids"),
    [
        (["JAZZ"], [2, -1, -1]),
        (["rock", "folk"], [3, 1, -1]),
        (["folk", "jazz", "rock"], [1, 2, 3]),
        ([], [0, -1, -1]),
        (None, [0, -1, -1]),
    ],
)
def test_ids_are_padded_and_zero_is_none(genres: list[str] | None, ids: list[int]) -> None:
    genre = Genre(max_genres=3).fit(SONGS)
    assert genre.names == ("folk", "jazz", "rock")
    assert genre.encode({"genre": genres}, WINDOW, SHAPE)["ids"].tolist() == ids


@pytest.mark.parametrize(
    ("genres", "message", "hint"),
    [
        (["rokc"], "no genre 'rokc' in this model, which knows 3", "did you mean 'rock'?"),
        (["polka"], "no genre 'polka' in this model, which knows 3", "did you mean 'folk'?"),
        (["rock", "jazz", "folk"], "3 genres are too many", "give 2 at most"),
    ],
)
def test_unknown_genres_and_too_many_are_errors(genres: list[str], message: str, hint: str) -> None:
    genre = Genre(max_genres=2).fit(SONGS)
    assert refusal(genre.encode, {"genre": genres}, WINDOW, SHAPE) == (message, hint)


def test_a_lenient_model_ignores_unknown_genres_and_those_that_are_too_many() -> None:
    genre = Genre(max_genres=2, names=("folk", "jazz", "rock"), lenient=True)
    song = {"genre": ["rokc", "rock", "jazz", "folk"]}
    assert genre.encode(song, WINDOW, SHAPE)["ids"].tolist() == [3, 2]


def test_genres_may_be_looked_up_word_by_word() -> None:
    genre = Genre(max_genres=3, names=("hard", "rock"), split_words=True)
    assert genre.encode({"genre": ["hard_rock"]}, WINDOW, SHAPE)["ids"].tolist() == [1, 2, -1]


def test_several_genres_are_the_sum_of_each() -> None:
    genre = Genre(max_genres=3).fit(SONGS)
    module = genre.module(SHAPE)

    def start(*genres: str) -> Tensor:
        ids = genre.encode({"genre": list(genres)}, WINDOW, SHAPE)["ids"]
        embedding: Tensor = module(torch.from_numpy(ids)[None]).start
        return embedding

    torch.testing.assert_close(start("rock", "jazz"), start("rock") + start("jazz"))
    assert not torch.equal(start(), start("rock"))


@pytest.mark.parametrize("genres", [["rock"], ["rock", "hard bop"], []])
def test_values_are_written_as_an_option(genres: list[str]) -> None:
    values = {"genre": genres}
    options = Genre().to_options(values)
    assert options == CommandOptions((("--genre", ",".join(genres)),))
    assert read_options(Genre(), options) == values


def test_a_genre_with_a_comma_fits_no_option() -> None:
    assert Genre().to_options({"genre": ["rock, hard"]}).notes


def test_the_vocabulary_is_the_genres() -> None:
    assert Genre(names=("jazz", "rock")).vocabulary() == {"genre": ("jazz", "rock")}


@pytest.mark.parametrize(("genres", "text"), [(["rock", "jazz"], "rock, jazz"), ([], "none")])
def test_genres_are_described_as_a_list(genres: list[str], text: str) -> None:
    assert Genre().describe({"genre": genres}) == {"genre": text}
