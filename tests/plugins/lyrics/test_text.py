"""Plain text and LRC files are read as text, sections and times."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jukebox_plugins.lyrics.conditioner import Lyrics
from jukebox_plugins.lyrics.text import lines_with_sections, parse_lyrics
from soundfile import write

from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.storage.model import Model

PLAIN = """
[Verse 1]
we go
far away

[Chorus]
sing, sing

[Verse 2]
we stay

[chorus]
"""
LRC = """[ar:Ada Vale]
[length:00:30]
[Verse]
[00:01.00]we go
[00:03.50]far away
[00:06.00]
[Chorus]
[00:10.00][00:20.00]sing
"""
WORDS = """[00:01.00] <00:01.00>we <00:01.50>go<00:02.00>
[00:03.00] <00:03.20>home <00:04.00>
"""


def test_section_names_are_no_lyrics_and_repeat_their_lines() -> None:
    assert parse_lyrics(PLAIN) == {
        "lyrics": "we go\nfar away\n\nsing, sing\n\nwe stay\n\nsing, sing",
        "lyrics_times": [],
        "lyrics_sections": [[0, "Verse 1"], [16, "Chorus"], [28, "Verse 2"], [37, "chorus"]],
    }


def test_lines_know_their_section_and_first_character() -> None:
    lines = list(lines_with_sections(parse_lyrics("[Verse]\nwe go\n[Chorus]\nsing, sing\nla")))
    assert lines == [("Verse", 0, "we go"), ("Chorus", 6, "sing, sing"), ("", 17, "la")]


@pytest.mark.parametrize(
    ("text", "lyrics"),
    [
        ("", ""),
        ("\n\nla\n\n", "la"),
        ("[Intro]", ""),
        ("[Intro]\n[Verse]\nla", "\nla"),
        ("a [whispered] line", "a [whispered] line"),
        ("one\rtwo\r\nthree", "one\ntwo\nthree"),
        ("\ufeffla", "la"),
        ("e\u0301t\u00e9", "\u00e9t\u00e9"),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e01\u0e33",
            "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e01\u0e33",
        ),
    ],
)
def test_plain_text_is_read_line_by_line(text: str, lyrics: str) -> None:
    assert parse_lyrics(text)["lyrics"] == lyrics


def test_an_lrc_file_has_times_of_lines() -> None:
    values = parse_lyrics(LRC)
    assert values["lyrics"] == "we go\nfar away\nsing\nsing"
    assert values["lyrics_sections"] == [[0, "Verse"], [15, "Chorus"], [20, "Chorus"]]
    assert values["lyrics_times"][:3] == [[0, 1.0], [6, 3.5], [15, 6.0]]
    starts = {character: seconds for character, seconds in values["lyrics_times"]}
    assert (starts[15], starts[20]) == (10.0, 20.0)
    assert values["lyrics_times"] == sorted(values["lyrics_times"], key=lambda each: each[1])


@pytest.mark.parametrize(
    ("text", "lyrics", "times"),
    [
        ("[00:00:05.20]five\n[01:00:07,5]seven", "five\nseven", [[0, 5.2], [5, 3607.5]]),
        ("[00:01.00]la la[00:02.00]\n[00:04.0]lo", "la la\nlo", [[0, 1.0], [5, 2.0], [6, 4.0]]),
        ("[00:01]I [00:01.5]go [00:02]home", "I go home", [[0, 1.0], [2, 1.5], [5, 2.0]]),
        ("[00:01,25]la", "la", [[0, 1.25]]),
        ("[ 00:01.123456 ]la", "la", [[0, 1.123]]),
        ("[1234:01.5]la", "la", [[0, 74041.5]]),
    ],
)
def test_times_are_read_as_programs_write_them(
    text: str, lyrics: str, times: list[list[float]]
) -> None:
    values = parse_lyrics(text)
    assert values["lyrics"] == lyrics
    assert [each for each in values["lyrics_times"] if each in times] == times


def test_what_only_looks_like_a_time_is_warned_of() -> None:
    with pytest.warns(InputWarning) as caught:
        parse_lyrics("[00:01.00]la\n[0:0:1:2]lo")
    assert [str(w.message) for w in caught] == [
        "lyrics: [0:0:1:2] is not a time as in LRC files, so it is sung"
    ]


def test_an_lrc_file_may_have_times_of_words() -> None:
    values = parse_lyrics(WORDS)
    assert values["lyrics"] == "we go\nhome"
    expected = [[0, 1.0], [3, 1.5], [5, 2.0], [6, 3.2], [10, 4.0]]
    assert [each for each in values["lyrics_times"] if each in expected] == expected


def test_an_offset_moves_the_lines_if_it_is_a_number() -> None:
    assert parse_lyrics("[offset:+500]\n[00:02.00]la")["lyrics_times"][0] == [0, 1.5]
    assert parse_lyrics("[offset:soon]\n[00:02.00]la")["lyrics_times"][0] == [0, 2.0]
    assert parse_lyrics("[00:02]la")["lyrics_times"][0] == [0, 2.0]
    assert parse_lyrics("[01:02:25]la")["lyrics_times"][0] == [0, 62.25]
    of_words = parse_lyrics("[offset:500]\n[00:02.00]<00:02.00>la <00:03.00>lo")
    assert of_words["lyrics_times"][:2] == [[0, 1.5], [3, 2.5]]


def test_words_of_a_repeated_line_move_with_it() -> None:
    values = parse_lyrics("[00:10.00][00:20.00]<00:10.00>la <00:11.00>lo<00:12.00>")
    assert values["lyrics"] == "la lo\nla lo"
    expected = [[0, 10.0], [3, 11.0], [5, 12.0], [6, 20.0], [9, 21.0], [11, 22.0]]
    assert [each for each in values["lyrics_times"] if each in expected] == expected


def test_a_line_without_a_time_is_sung_after_the_one_above_it() -> None:
    values = parse_lyrics("[00:10.00]we go\n  home again\n\n[00:20.00]bye\n[00:15.00]soon")
    assert values["lyrics"] == "we go\nhome again\nsoon\nbye"
    assert [0, 10.0] in values["lyrics_times"]
    assert all(character != 6 for character, _ in values["lyrics_times"])


def test_a_section_may_have_a_time_of_its_own() -> None:
    values = parse_lyrics("[00:09.00][Verse]\n[00:10.00]we go")
    assert (values["lyrics"], values["lyrics_sections"]) == ("we go", [[0, "Verse"]])


def test_a_line_ends_where_a_rest_begins() -> None:
    times = parse_lyrics(
        "[00:00.00]aaaaaaaaa\n[00:01.00]bbbbbbbbb\n[00:02.00]ccccccccc\n[01:00.00]ddd"
    )
    ends = [seconds for character, seconds in times["lyrics_times"] if character == 30]
    assert ends == [4.0, 60.0]  # a line lasts at most twice as long as usual


@pytest.mark.parametrize(
    ("text", "kept", "left_out"),
    [
        ("la \U0001f600 la", "la  la", "\U0001f600"),
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467!", "!", "\U0001f468\U0001f469\U0001f467"),
        ("\u2665\ufe0f love \U0001f44d\U0001f3fd", " love ", "\u2665\U0001f44d\U0001f3fd"),
        ("\u0646\u200c\u0627", "\u0646\u200c\u0627", None),  # a joiner that is part of a word
        ("1\ufe0f\u20e3", "1", None),
        ("\U0001f3f4\U000e0067\U000e0062\U000e007f la", " la", "\U0001f3f4"),
    ],
)
def test_emoji_are_left_out_with_a_warning(text: str, kept: str, left_out: str | None) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert parse_lyrics(text)["lyrics"] == kept
    messages = [str(warning.message) for warning in caught]
    assert messages == ([f"lyrics: left out {left_out}, which can't be sung"] if left_out else [])
    assert all(warning.category is InputWarning for warning in caught)


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_any_text_is_read_and_encoded(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = parse_lyrics(text)
        assert json.loads(json.dumps(values)) == values
        lyrics = Lyrics(max_characters=32, charset="abc \n")
        arrays = lyrics.encode(values, Window(0, 100, 1000), PriorShape(8, 10, 10, 1000))
    assert arrays["ids"].shape == (32,)


@given(st.lists(st.sampled_from([*LRC.splitlines(), *WORDS.splitlines(), "[Verse]", "x", ""])))
def test_times_are_sorted_and_of_characters_of_the_text(rows: list[str]) -> None:
    values = parse_lyrics("\n".join(rows))
    times = values["lyrics_times"]
    assert [t[1] for t in times] == sorted(t[1] for t in times)
    assert all(0 <= character <= len(values["lyrics"]) for character, _ in times)


def test_a_warning_is_shown_once(tiny: Model, here: Path, jukebox: Callable[..., Any]) -> None:
    (here / "songs.jsonl").write_text(
        "".join(
            json.dumps({"audio": f"{n}.wav", "lyrics": f"la \U0001f600 {n}"}) + "\n" for n in "abc"
        )
    )
    for name in "abc":
        write(here / f"{name}.wav", np.zeros(800, np.float32), 8000)
    done = jukebox("tokenize", "songs.jsonl", "--model", tiny.path, "--out", "corpus", "-q")
    assert done.code == 0
    assert done.err == "warning: lyrics: left out \U0001f600, which can't be sung\n"
