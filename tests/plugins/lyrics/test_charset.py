"""How text is encoded in a charset, and which characters a window sees."""

from __future__ import annotations

import pytest
from jukebox_plugins.lyrics.charset import (
    TextWindow,
    centered_window,
    character_at,
    clamped_window,
    encode_text,
    right_aligned_window,
)

#: The charset of the original.
ORIGINAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?-+'\"()[] \t\n"


def encoded(text: str, charset: str) -> str:
    """The text as the model sees it."""
    return "".join(charset[number - 1] for number in encode_text(text, charset).ids)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tea (for 2)!\n", "Tea (for 2)!\n"),
        ("naïve café", "naive cafe"),
        ("don\u2019t \u201cstop\u201d \u2014 now\u2026", 'don\'t "stop" - now...'),
        ("straße", "strasse"),
        ("Привет", "Privet"),
        ("one\\two", "one\ntwo"),
        ("a 😀 b {c} ~", "a  b c "),
        ("", ""),
    ],
)
def test_unknown_characters_are_transliterated(text: str, expected: str) -> None:
    assert encoded(text, ORIGINAL) == expected


def test_the_other_case_is_used_where_a_charset_lacks_one() -> None:
    lower = " Iadeghimnorstuwy\n"
    assert encoded("We Go HOME, I say", lower) == "we go home I say"
    assert encoded("Ärger", lower) == "arger"
    assert encoded("日本語", lower) == "rienyu"
    assert encoded("we go", "WEGO ") == "WE GO"


def test_each_id_has_its_origin_and_what_is_dropped_is_listed_once() -> None:
    text = encode_text("aß, ß!", "as ")
    assert text.ids == [1, 2, 2, 3, 2, 2]
    assert text.origins == [0, 1, 1, 3, 4, 4]
    assert text.dropped == ",!"


@pytest.mark.parametrize(
    ("length", "middle", "expected"),
    [
        (3, 0, (0, 3)),
        (7, 6, (0, 7)),
        (8, 0, (0, 8)),
        (20, 0, (0, 8)),
        (20, 4, (0, 8)),
        (20, 9, (5, 13)),
        (20, 16, (12, 20)),
        (20, 19, (12, 20)),
    ],
)
def test_a_clamped_window_stays_inside_the_text(
    length: int, middle: int, expected: tuple[int, int]
) -> None:
    assert clamped_window(length, 8, middle) == expected


def test_a_right_aligned_window_is_padded_on_the_left() -> None:
    assert right_aligned_window(3, 8, 0) == TextWindow(0, 3, 5)
    assert right_aligned_window(20, 8, 9) == TextWindow(5, 13, 0)


def test_a_centered_window_is_padded_outside_the_text() -> None:
    assert centered_window(20, 8, 1) == TextWindow(0, 5, 3)
    assert centered_window(20, 8, 9) == TextWindow(5, 13, 0)
    assert centered_window(20, 8, 19) == TextWindow(15, 20, 0)


def test_times_are_interpolated_between_two_characters() -> None:
    times, origins = [[2, 1.0], [6, 3.0], [6, 5.0], [10, 6.0]], list(range(12))
    expected = {0.0: 2, 1.0: 2, 2.0: 4, 3.5: 6, 5.0: 6, 5.5: 8, 9.0: 10}
    assert {s: character_at(s, times, origins) for s in expected} == expected
