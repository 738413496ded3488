"""Lists of artists and genres."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from jukebox_plugins.openai import labels

from support import originals
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


def test_lists_of_another_label_set_are_not_used(checkpoints: Path) -> None:
    originals.write_lists(Path("ids"), version=3)
    assert labels.find_labels([Path("ids")], 2) == labels.Labels()
    assert labels.find_labels([Path("ids")], 3).artists["bo"] == 2


def test_names_of_the_port_are_of_one_label_set(here: Path) -> None:
    artists = {"unknown": 0, "ada.v2": 1, "bo.v2": 2, "bo": 1, "cy": 2}
    text = json.dumps({"artists": artists, "genres": {"unknown": 0, "rock.v2": 1, "folk": 1}})
    (here / "vocab.json").write_text(text)
    assert labels.find_labels([here], 2).artists == {"ada": 1, "bo": 2}
    assert labels.find_labels([here], 3).artists == {"unknown": 0, "bo": 1, "cy": 2}


def test_a_folder_without_lists_is_an_error(checkpoints: Path, refused: Refused) -> None:
    words = ("checkpoints", "--labels", "ids")
    refused(*words, error="no folder ids", hint="name the folder that the lists are in")
    Path("ids").mkdir()
    hint = "it needs v2_artist_ids.txt and v2_genre_ids.txt, or those of v3, or vocab.json"
    refused(*words, error="ids has no lists of artists and genres", hint=hint)
    originals.write_lists(Path("ids"))
    Path("ids/v2_genre_ids.txt").write_text("rock;1\njazz\n")
    refused(
        *words,
        error="ids/v2_genre_ids.txt:2: can't read 'jazz'",
        hint="write lines of 'name;id'",
    )
