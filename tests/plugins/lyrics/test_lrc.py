"""LRC files are written from an alignment, and from values that were read."""

from __future__ import annotations

from jukebox_plugins.lyrics.lrc import alignment_to_lrc, format_time, lyrics_files
from jukebox_plugins.lyrics.text import parse_lyrics

from support.sung_lines import SUNG_LINES

LINES = [*SUNG_LINES, {"text": "we are not sung", "words": [{"word": "we"}]}]


def test_an_alignment_is_written_with_times_of_lines() -> None:
    text = alignment_to_lrc({"lines": LINES}, word_times=False)
    assert text == "[00:00.50]we go\n[00:01.20]far off\n"


def test_an_alignment_is_written_with_times_of_words() -> None:
    text = alignment_to_lrc({"lines": LINES}, word_times=True)
    assert text == "[00:00.50]we <00:00.50>go<00:01.00>\n[00:01.20]<00:01.20>far<00:02.00>\n"


def test_times_are_minutes_and_seconds() -> None:
    assert [format_time(s) for s in (0, 1.234, 59.999, 61.5, 3600)] == [
        "00:00.00",
        "00:01.23",
        "01:00.00",
        "01:01.50",
        "60:00.00",
    ]
    assert format_time(59.9996, 3) == "01:00.000"
    assert format_time(62.0034, 3) == "01:02.003"


def test_files_of_lyrics_go_from_plain_text_to_lrc() -> None:
    values = parse_lyrics("[00:01.00]we go\n[Chorus]\n[00:20.00]<00:20.00>far <00:21.50>off")
    files = list(lyrics_files(values))
    assert files[:2] == [(".txt", "we go\nfar off"), (".txt", "we go\n[Chorus]\nfar off\n")]
    assert files[2] == (
        ".lrc",
        "[00:01.000]we go\n[Chorus]\n[00:20.000]<00:20.000>far <00:21.500>off\n",
    )
    assert {suffix for suffix, _ in files[2:]} == {".lrc"}


def test_a_line_is_written_with_its_end_before_a_rest() -> None:
    text = "[00:01.000]<00:01.000>we <00:01.500>go <00:02.000>\n[00:09.000]far off\n"
    files = [contents for _, contents in lyrics_files(parse_lyrics(text))]
    assert text in files
