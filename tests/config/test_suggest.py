"""Suggestions for unknown names."""

from __future__ import annotations

import pytest

from jukebox_cli.config.suggest import did_you_mean, find_name, join_names, lookup_id, unknown_name
from jukebox_cli.interfaces.errors import InputError


@pytest.mark.parametrize(
    ("word", "known", "answer"),
    [
        ("Ela", ["Ella", "Bo"], "did you mean 'Ella'?"),
        ("ELLA", ["ella"], "did you mean 'ella'?"),
        ("xyz", ["Ella", "Bo"], None),
        ("x", [], None),
    ],
)
def test_a_close_name_is_suggested(word: str, known: list[str], answer: str | None) -> None:
    assert did_you_mean(word, known) == answer


def test_an_unknown_name_without_a_close_match_lists_known_names() -> None:
    assert unknown_name("level", "xyz", ["a", "b"], " here").message == "no level 'xyz' here"
    assert unknown_name("level", "xyz", ["a", "b"]).hint == "known are: a, b"
    assert unknown_name("level", "xyz", []).hint == "known are: none"


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("Abba", "ABBA"),
        ("ac dc", "AC/DC"),
        ("AC_DC", "AC/DC"),
        ("beyonce", "Beyonc\u00e9"),
        ("abba!", "ABBA"),
        ("bab", None),
        ("", None),
    ],
)
def test_a_name_is_found_whatever_its_case_spaces_and_marks(word: str, found: str | None) -> None:
    assert find_name(word, ["ABBA", "AC/DC", "Beyonc\u00e9"]) == found


def test_an_exact_name_is_preferred_to_a_similar_one() -> None:
    assert find_name("a-b", ["A B", "A-B"]) == "A-B"
    assert find_name("a_b", ["A B", "A-B"]) == "A B"


def test_of_thousands_of_known_words_only_the_first_are_listed() -> None:
    known = [f"artist {n}" for n in range(7000)]
    hint = str(unknown_name("artist", "zzz", known).hint)
    assert hint.startswith("known are: artist 0, artist 1, ")
    assert hint.endswith(", artist 39 and 6,960 more")


def test_names_are_joined_up_to_a_limit() -> None:
    assert join_names(["a", "b"]) == "a, b"
    assert join_names(["a", "b", "c"], max_shown=2) == "a, b and 1 more"


def test_an_id_counts_from_1_and_aliases_stand_for_names() -> None:
    names, aliases = ("ABBA", "Queen"), {"The Queen": "Queen"}
    assert lookup_id("artist", "queen", names, aliases, lenient=False) == 2
    assert lookup_id("artist", "the queen", names, aliases, lenient=False) == 2
    assert lookup_id("artist", "Kiss", names, aliases, lenient=True) == 0
    with pytest.raises(InputError) as caught:
        lookup_id("artist", "Quen", names, aliases, lenient=False)
    assert caught.value.message == "no artist 'Quen' in this model, which knows 2"
    assert caught.value.hint == "did you mean 'Queen'?"
