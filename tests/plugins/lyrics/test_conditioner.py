"""The lyrics conditioner: reading, the characters of a window, and values as options."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jukebox_plugins.lyrics.conditioner import Lyrics
from jukebox_plugins.lyrics.lrc import format_time
from jukebox_plugins.lyrics.text import parse_lyrics

from jukebox_cli.config.presets import find_preset
from jukebox_cli.interfaces.command_options import CommandOptions, read_options
from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.interfaces.errors import InputError, InputWarning
from support.results import refusal

SHAPE = PriorShape(width=12, context_length=16, hop_length=128, sample_rate=8000)
#: The charset of the original.
ORIGINAL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?-+'\"()[] \t\n"

# reading


def test_lyrics_are_read_as_they_are_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("\nla la\r\nlu\n", encoding="utf-8")
    for given, text in (
        ("la la", "la la"),
        ("words.txt", "la la\nlu"),
        ("two lines\nwords.txt", "two lines\nwords.txt"),
        ("cafe\u0301", "caf\u00e9"),
        ("", ""),
    ):
        assert Lyrics().read({"lyrics": given}, tmp_path)["lyrics"] == text


def test_a_file_with_any_suffix_is_read(tmp_path: Path) -> None:
    (tmp_path / "song.md").write_text("we go\n")
    read = Lyrics().read
    assert read({"lyrics": "song.md"}, tmp_path)["lyrics"] == "we go"
    assert read({"lyrics": "we go."}, tmp_path)["lyrics"] == "we go."
    assert read({"lyrics": "other.md"}, tmp_path)["lyrics"] == "other.md"


def test_a_file_without_lyrics_is_a_warning_and_no_lyrics_are_not(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("[Chorus]\n")
    assert Lyrics().read({"lyrics": ""}, tmp_path)["lyrics"] == ""
    (tmp_path / "none.lrc").touch()
    for name in ("empty.txt", "none.lrc"):
        with pytest.warns(InputWarning, match=f"lyrics: there is nothing to sing in {name}"):
            assert Lyrics().read({"lyrics": name}, tmp_path)["lyrics"] == ""


def test_lyrics_that_can_not_be_read_are_errors(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_bytes(b"\xff\xfe\x00")
    read, hint = Lyrics().read, "write them in quotes, or name a file"
    assert refusal(read, {"lyrics": 3}, tmp_path) == ("can't read lyrics 3", hint)
    missing = f"no file {tmp_path / 'none.txt'}"
    assert refusal(read, {"lyrics": "none.txt"}, tmp_path) == (missing, "check the path")
    binary = f"{tmp_path / 'song.txt'} is not a text file"
    assert refusal(read, {"lyrics": "song.txt"}, tmp_path) == (binary, "save it as UTF-8")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_characters": 33}, "max_characters must be a multiple of rows (32)"),
        ({"max_characters": -1}, "max_characters must be 1 or more"),
        ({"max_characters": 0, "form": "prefix"}, "max_characters must be 1 or more"),
        ({"rows": 0}, "rows must be 1 or more"),
        ({"width": 20}, "attention_ratio * width must be a multiple of heads (4)"),
    ],
)
def test_sizes_that_do_not_fit_are_errors(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="must be ") as caught:
        Lyrics(**fields)
    assert caught.value.args[0] == message


# what a window sees


def test_a_fitted_charset_has_every_character_of_the_corpus() -> None:
    songs = [{"lyrics": "Hé, 東京"}, {"lyrics": "né\n"}, {}]
    lyrics = Lyrics().fit(songs)
    assert lyrics.charset == "".join(sorted(set("Hé, 東京né\n")))
    ids = lyrics.encode_text({"lyrics": "東 né"}).ids
    assert "".join(lyrics.charset[n - 1] for n in ids) == "東 né"
    assert lyrics.encode_text({"lyrics": "è"}).ids == []  # there is no e without an accent


def shown(ids: np.ndarray, charset: str) -> str:
    """The characters of a window; a dot at empty positions."""
    return "".join("." if number == 0 else charset[number - 1] for number in ids)


def original_window(text: str, start: int, samples: int, **song: Any) -> str:
    """The characters of a window of 2000 samples, without centering."""
    lyrics = Lyrics(max_characters=8, rows=4, center_window=False, charset=ORIGINAL)
    arrays = lyrics.encode({"lyrics": text, **song}, Window(start, 2000, samples), SHAPE)
    return shown(arrays["ids"], ORIGINAL)


def test_the_characters_of_a_window_are_spread_evenly_over_the_song() -> None:
    text = "abcdefghijklmnopqrst"  # a character every 1000 samples of 20,000
    assert original_window(text, 0, 20_000) == "abcdefgh"
    assert original_window(text, 9_000, 20_000) == "ghijklmn"
    assert original_window(text, 18_000, 20_000) == "mnopqrst"
    assert original_window(text, 9_000, 10_000, total=2.5) == "ghijklmn"  # of a longer song
    assert original_window("abc", 9_000, 20_000) == ".....abc"
    assert original_window("", 0, 20_000) == "........"


def centered(text: str, start: float, total: float = 20.0) -> str:
    """The characters around the middle of two seconds from `start`."""
    values = parse_lyrics(text)
    lyrics = Lyrics(max_characters=8, rows=4).fit([values])
    window = Window(round(start * 1000), 2000, round(total * 1000))
    return shown(lyrics.encode(values, window, PriorShape(8, 200, 10, 1000))["ids"], lyrics.charset)


def test_the_character_that_is_sung_in_the_middle_is_in_the_middle() -> None:
    text = "abcdefghijklmnopqrst"  # a character per second
    assert centered(text, 0) == "...abcde"
    assert centered(text, 9) == "ghijklmn"
    assert centered(text, 18) == "pqrst..."


def test_times_decide_what_is_in_the_middle() -> None:
    text = "[00:00.00]abcd\n[00:10.00]efgh\n[00:14.00]ijkl"
    assert centered(text, 0, 100) == "....abcd"  # a line of ten seconds is no slower than others
    assert centered(text, 11, 100) == "d\nefgh\ni"
    assert centered(text, 60, 100) == "ijkl...."


def test_characters_that_a_charset_lacks_are_a_warning() -> None:
    lyrics = Lyrics(max_characters=32, charset="ab ")
    message = "left out cd, which the model's charset does not have"
    with pytest.warns(InputWarning, match=message):
        arrays = lyrics.encode({"lyrics": "abc,ad!"}, Window(0, 10, 10), PriorShape(8, 10, 1, 10))
    assert arrays["ids"][arrays["ids"] > 0].tolist() == [1, 2, 1]


def timed_positions(times: list[list[float]], start: int = 0) -> list[float]:
    """Positions in a window of 2 s with 4 tokens; -1 where unknown."""
    lyrics = Lyrics(max_characters=8, rows=4, charset="abcdefgh")
    song = {"lyrics": "abcdefgh", "lyrics_times": times}
    arrays = lyrics.encode(song, Window(start, 2000, 8000), PriorShape(8, 4, 500, 1000))
    return [float(n) for n in np.nan_to_num(arrays["timed_positions"], nan=-1.0)]


def test_tokens_have_the_position_of_the_character_that_is_sung() -> None:
    evenly = [[0, 0.0], [8, 8.0]]  # character 1 is sung in the middle, and is at position 4
    assert timed_positions(evenly) == [3.0, 3.5, 4.0, 4.5]
    assert timed_positions([[0, 0.5], [4, 1.0]]) == [-1.0, 0.0, 4.0, -1.0]
    assert timed_positions([]) == [-1.0] * 4


def test_times_are_mostly_hidden_in_training_except_from_the_attention_target() -> None:
    lyrics = Lyrics(max_characters=16, width=16, heads=2, rows=4, charset="abcdefgh")
    song = {"lyrics": "abcdefgh", "lyrics_times": [[0, 0.0], [8, 1.0]]}
    rng = np.random.default_rng(0)
    augmented = [lyrics.augment(song, rng) for _ in range(200)]
    hidden = [each for each in augmented if each is not song]
    assert 130 < len(hidden) < 170
    window = Window(7000, 2048, 80_000)  # the end of the lyrics, at the beginning of the song
    with_times, without = (lyrics.encode(each, window, SHAPE) for each in (song, hidden[0]))
    untimed = lyrics.encode({"lyrics": "abcdefgh"}, window, SHAPE)
    assert untimed["ids"].tolist() == without["ids"].tolist() != with_times["ids"].tolist()
    assert np.isnan(without["timed_positions"]).all()
    targets = [each["ids"][int(each["target_positions"][0])] for each in (with_times, without)]
    assert targets == [lyrics.charset.index("h") + 1] * 2
    assert lyrics.augment({"lyrics": "abc"}, rng) == {"lyrics": "abc"}


# descriptions and options


@pytest.mark.parametrize(
    ("song", "text"),
    [
        ({"lyrics": "la la\n\nla"}, "3 words in 2 lines"),
        ({"lyrics": "la"}, "1 word in 1 line"),
        ({"lyrics": ""}, "none"),
        ({"lyrics": "la la", "lyrics_times": [[0, 1.0]]}, "2 words in 1 line, with times"),
        ({"lyrics": {"of": "x"}}, "of: x"),
    ],
)
def test_lyrics_are_described_by_their_length(song: dict[str, Any], text: str) -> None:
    assert Lyrics().describe(song) == {"lyrics": text}


def test_the_vocabulary_is_the_characters_but_for_blanks() -> None:
    assert Lyrics(charset="\n ab").vocabulary() == {"lyrics characters": ["a", "b"]}


def test_a_song_without_lyrics_has_no_description_and_no_options() -> None:
    assert Lyrics().describe({"artist": "Ada Vale"}) == {}
    assert Lyrics().to_options({"artist": "Ada Vale"}) == CommandOptions()


SECTIONS = "[Verse]\none\n\n[Chorus]\ntwo\nthree\n\n[Verse]\n[Chorus]\n"
TIMES = "[00:01.50]We sing\n[00:03.250]<00:03.250>all <00:04.000>night\n[Chorus]\n[01:02.003]hold"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("la la", "la la"),
        ("", ""),
        ("one\n\ntwo", "lyrics.txt"),
        ("ends in a name\nsong.txt", "lyrics.txt"),
        (SECTIONS, "lyrics.txt"),
        ("[Intro]\n\n[Verse]\none", "lyrics.txt"),
        (TIMES, "lyrics.lrc"),
        ("[00:10.00]one\n[00:12.00]\n[00:20.00]two\n[00:21.50]three", "lyrics.lrc"),
        ("[00:10.00]<00:10.00>one <00:11.00>more<00:11.50>\n[00:20.00]two<00:21.50>", "lyrics.lrc"),
        ("[00:10.00]one<00:11.50>\n[Bridge]\n[00:11.50]two\n[00:13.50]three", "lyrics.lrc"),
        (
            "[00:01]la la\n[00:02]\n[00:09]sing on\n[00:20]hey\n[00:20.5]\n[00:30]oh",
            "lyrics.lrc",
        ),
        ("[00:01]la la\n[00:02]\n[00:02]sing on", "lyrics.lrc"),
        ("[00:10.00]one\n[Bridge]\n[00:20.00]two\n[00:21.50]three\n[00:59.9996]", "lyrics.lrc"),
    ],
)
def test_values_are_written_as_a_line_or_a_file(text: str, value: str) -> None:
    values = json.loads(json.dumps(parse_lyrics(text)))
    options = Lyrics().to_options(values)
    assert options.options == (("--lyrics", value),)
    assert [name for name, _ in options.files] == ([value] if value.startswith("lyrics.") else [])
    assert options.notes == ()
    assert read_options(Lyrics(), options) == values


def random_lrc(rng: random.Random) -> str:
    """Lines of words with times, rests between some, and ends of some of them."""
    rows, seconds = [], 0.0
    for _ in range(rng.randint(2, 8)):
        seconds += rng.choice([0, rng.uniform(0, 3), rng.uniform(5, 9)])
        words = []
        start = format_time(seconds)
        for _ in range(rng.randint(1, 5)):
            words.append(f"<{format_time(seconds)}>{'la' * rng.randint(1, 4)}")
            seconds += rng.choice([rng.uniform(0.1, 1.2), rng.uniform(0.1, 4)])
        end = rng.choice(["", f"<{format_time(seconds)}>", f"\n[{format_time(seconds + 0.2)}]"])
        seconds += 0.2
        rows.append(f"[{start}]{' '.join(words)}{end}")
    return "\n".join(rows)


@pytest.mark.parametrize("seed", range(20))
def test_times_of_random_lrc_files_are_given_again(seed: int) -> None:
    values = json.loads(json.dumps(parse_lyrics(random_lrc(random.Random(seed)))))
    options = Lyrics().to_options(values)
    assert options.options == (("--lyrics", "lyrics.lrc"),)
    assert read_options(Lyrics(), options) == values


def test_lyrics_of_the_preset_are_given_again_with_their_times() -> None:
    preset = find_preset("synthwave").with_suffix(".lrc")
    values = json.loads(json.dumps(parse_lyrics(preset.read_text(encoding="utf-8"))))
    options = Lyrics().to_options(values)
    assert options.options == (("--lyrics", "lyrics.lrc"),)
    assert read_options(Lyrics(), options) == values


def test_a_line_that_looks_like_a_file_name_goes_into_a_file() -> None:
    options = Lyrics().to_options({"lyrics": "song.txt"})
    assert options == CommandOptions((("--lyrics", "lyrics.txt"),), (("lyrics.txt", b"song.txt"),))


@pytest.mark.parametrize(
    "values",
    [{"lyrics": ["la"]}, {"lyrics": "la", "lyrics_times": [[0, 2.0], [1, 1.0]]}],
)
def test_values_that_no_file_expresses_are_noted(values: dict[str, Any]) -> None:
    options = Lyrics().to_options(values)
    assert options.options == (("--lyrics", "lyrics"),)
    assert options.notes == (
        "What --lyrics lyrics was read from; the run keeps what was read, but not the file.",
    )


@pytest.mark.parametrize("name", ["songs/verse.md", "../a/b.markdown", "C:\\songs\\a.rtf"])
def test_a_path_is_never_sung(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        Lyrics().read({"lyrics": name}, tmp_path)


@pytest.mark.parametrize("words", ["and/or", "now... and/then.", "yes/no we go.", "a/b.c d"])
def test_words_with_slashes_are_sung(words: str, tmp_path: Path) -> None:
    assert Lyrics().read({"lyrics": words}, tmp_path)["lyrics"] == words


def test_an_lrc_file_without_times_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "song.lrc").write_text("we go\nfar away")
    with pytest.warns(InputWarning) as caught:
        Lyrics().read({"lyrics": "song.lrc"}, tmp_path)
    assert [str(w.message) for w in caught] == [
        "lyrics: no line of song.lrc has a time, such as [00:12.50]"
    ]
