"""The lyrics of an item with their times, as a report shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jukebox_plugins.lyrics.conditioner import Lyrics
from jukebox_plugins.lyrics.timed_text import alignment_file, lines_of_song, read_alignment

from jukebox_cli.interfaces.timed_text import TimedLine, TimedWord
from jukebox_cli.storage.documents import json_text
from support.results import refusal

TEXT = "We sing all night,\nthe river runs\n\nhold on to me"


def write_alignment(run: Path, *lines: dict[str, Any], **more: Any) -> Path:
    data = {"format": 2, "item": 1, "level": 2, "layer": 3, "head": 1, "lines": lines, **more}
    path = alignment_file(run, 1)
    path.parent.mkdir()
    path.write_text(json_text(data))
    return path


def test_lyrics_without_times_have_sections(tmp_path: Path) -> None:
    song = {"lyrics": TEXT, "lyrics_times": [], "lyrics_sections": [[34, "Chorus"]]}
    text = Lyrics().timed_text(song, tmp_path, 1)
    assert text is not None
    assert not text.is_timed
    assert text.title == "Lyrics"
    assert text.hint.startswith("When each word is sung is not known yet: `jukebox align`")
    assert [line.section for line in text.lines] == ["", "", "Chorus", "", ""]
    lines = ["".join(word.text for word in line.words) for line in text.lines if not line.section]
    assert "\n".join(lines) == TEXT


def test_times_of_words_are_interpolated(tmp_path: Path) -> None:
    times = [[0, 0.1], [3, 0.2], [12, 0.5], [12, 0.7], [15, 0.8]]
    song = {"lyrics": "We sing all\nno end", "lyrics_times": times}
    text = Lyrics().timed_text(song, tmp_path, 1)
    assert text is not None
    assert text.is_timed
    assert text.hint.startswith("Words light up when they were asked for")
    words = [word for line in text.lines for word in line.words if word.start is not None]
    starts = [0.1, 0.2, 0.2 + 5 / 9 * 0.3, 0.7]
    assert [word.start for word in words] == [pytest.approx(s) for s in starts]
    assert words[2].end == pytest.approx(0.2 + 8 / 9 * 0.3)
    assert [word.text for word in words] == ["We", "sing", "all", "no"]
    assert lines_of_song(song)[1].words[2] == TimedWord("end")  # the times end before it


def test_an_alignment_is_preferred_to_times_of_the_file(tmp_path: Path) -> None:
    words = [{"word": "We", "start": 0.0, "end": 0.1}, {"word": "sing", "start": 0.2, "end": 0.3}]
    write_alignment(tmp_path, {"section": "Chorus"}, {"text": "We sing,", "words": words})
    song = {"lyrics": "We sing,", "lyrics_times": [[0, 5.0]]}
    text = Lyrics().timed_text(song, tmp_path, 1)
    assert text is not None
    assert text.hint == ""
    assert text.lines == (
        TimedLine(section="Chorus"),
        TimedLine(
            (
                TimedWord("We", 0.0, 0.1),
                TimedWord(" "),
                TimedWord("sing", 0.2, 0.3),
                TimedWord(","),
            )
        ),
    )
    other = Lyrics().timed_text(song, tmp_path, 0)  # another item has none
    assert other is not None
    assert other.hint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("(a) b!", ["(", "a", ") ", "b", "!"]),
        ("something else", ["a", " ", "b"]),
        ("b a", ["a", " ", "b"]),
    ],
)
def test_a_line_may_differ_from_its_words(line: str, words: list[str], tmp_path: Path) -> None:
    found = [{"word": "a", "start": 0, "end": 1}, {"word": "b", "start": 1, "end": 2}]
    (read,) = read_alignment(write_alignment(tmp_path, {"text": line, "words": found}))
    assert [word.text for word in read.words] == words


def test_a_line_without_words_is_one_word(tmp_path: Path) -> None:
    path = write_alignment(tmp_path, {"text": "oh oh", "start": 1, "end": 2.5})
    assert read_alignment(path) == (TimedLine((TimedWord("oh oh", 1.0, 2.5),)),)


def test_words_that_are_not_sung_have_no_times(tmp_path: Path) -> None:
    words = [{"word": "oh", "start": 1, "end": 2}, {"word": "my"}]
    path = write_alignment(tmp_path, {"text": "oh my", "words": words})
    line = TimedLine((TimedWord("oh", 1.0, 2.0), TimedWord(" "), TimedWord("my")))
    assert read_alignment(path) == (line,)


def test_a_song_without_lyrics_has_no_text(tmp_path: Path) -> None:
    assert Lyrics().timed_text({"artist": "Ada Vale"}, tmp_path, 0) is None
    assert Lyrics().timed_text({"lyrics": ""}, tmp_path, 0) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"checksum": null, "format": 2, "lines": [{"text": "a", "words": [{}]}]}',
            "KeyError: 'word'",
        ),
        ('{"checksum": null, "format": 2, "lines": [{}]}', "KeyError: 'text'"),
    ],
)
def test_a_damaged_alignment_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = write_alignment(tmp_path)
    path.write_text(text)
    assert refusal(Lyrics().timed_text, {}, tmp_path, 1) == (
        f"{path} is damaged: {message}",
        "restore it from a copy, or make it again",
    )


def test_an_alignment_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = write_alignment(tmp_path, {"text": "we sing", "start": 1.0, "end": 2.5})
    path.write_text(path.read_text().replace("2.5", "2.6"))
    message, _ = refusal(read_alignment, path)
    assert message == f"{path} was changed or is damaged: its checksum does not match"


def test_an_alignment_of_another_format_is_refused(tmp_path: Path) -> None:
    path = write_alignment(tmp_path, format=1)
    assert refusal(read_alignment, path) == (
        f"{path}: format 1 cannot be read, only format 2",
        "an earlier version of jukebox wrote it: make it anew, or see CHANGELOG.md for new keys",
    )
