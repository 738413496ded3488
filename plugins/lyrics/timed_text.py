"""The lyrics of an item with their times, for pages: those of an alignment, or those asked for.

`jukebox align` writes an alignment, `alignment/item-00.json` in the run: `lines` of
`{"section": name}` or `{"text", "start", "end", "words": [{"word", "start", "end"}]}`, times in
seconds and left out where they are not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jukebox_cli.api import Song, TimedLine, TimedText, TimedWord
from jukebox_cli.api.files import corruption_errors, read_json

#: The form of alignment files, in their field `format`.
ALIGNMENT_FORMAT = 2

_HINT_ALIGNED = ""
_HINT_REQUESTED = (
    "Words light up at the times that were asked for; `jukebox align` finds when they are sung, "
    "and a new report shows it."
)
_HINT_UNKNOWN = (
    "When each word is sung is not known yet; `jukebox align` finds it, and a new report shows it."
)


def alignment_file(run: Path, item: int) -> Path:
    """Where the alignment of an item is, in the folder of its run."""
    return run / "alignment" / f"item-{item:02}.json"


def timed_lyrics(song: Song, run: Path, item: int) -> TimedText | None:
    """The lyrics of an item, with the times of its alignment, or else those that were asked for.

    :raises InputError: for an alignment that is damaged.
    """
    path = alignment_file(run, item)
    if path.is_file():
        return TimedText("Lyrics", tuple(read_alignment(path)))
    if not song.get("lyrics"):
        return None
    if song.get("lyrics_times"):
        return TimedText("Lyrics", tuple(_requested_lines(song)), _HINT_REQUESTED)
    return TimedText("Lyrics", tuple(_untimed_lines(song)), _HINT_UNKNOWN)


def read_alignment(path: Path) -> list[TimedLine]:
    """The lines of an alignment file. InputError if it is damaged or of another format."""
    data = read_json(path)
    with corruption_errors(path):
        if data["format"] != ALIGNMENT_FORMAT:
            what = f"format {data['format']} is not known here, only format {ALIGNMENT_FORMAT}"
            raise ValueError(what)
        return [_aligned_line(row) for row in data["lines"]]


def _aligned_line(row: Mapping[str, Any]) -> TimedLine:
    if "section" in row:
        return TimedLine(section=str(row["section"]))
    rows = row.get("words") or [{**row, "word": row["text"]}]
    words = [TimedWord(str(r["word"]), *(_seconds(r.get(key)) for key in _TIMES)) for r in rows]
    return TimedLine(tuple(fill_between(str(row["text"]), words)))


_TIMES = ("start", "end")


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _untimed_lines(song: Song) -> Iterator[TimedLine]:
    for section, _, row in _rows(song):
        if section:
            yield TimedLine(section=section)
        yield TimedLine((TimedWord(row),))


def _requested_lines(song: Song) -> Iterator[TimedLine]:
    """Lines with the times that were asked for; between two of them, words are spread evenly."""
    times = song["lyrics_times"]
    # a character after a rest has two times: it starts at the later one
    starts, ends = dict(times), dict(reversed(times))
    for section, first, row in _rows(song):
        if section:
            yield TimedLine(section=section)
        words = [_requested_word(match, first, starts, ends) for match in re.finditer(r"\S+", row)]
        yield TimedLine(tuple(fill_between(row, words)))


def _requested_word(
    match: re.Match[str], first: int, starts: Mapping[int, float], ends: Mapping[int, float]
) -> TimedWord:
    start = _interpolate(first + match.start(), starts, starts, ends)
    end = _interpolate(first + match.end(), ends, starts, ends)
    return TimedWord(match[0]) if start is None or end is None else TimedWord(match[0], start, end)


def _interpolate(
    character: int,
    known: Mapping[int, float],
    starts: Mapping[int, float],
    ends: Mapping[int, float],
) -> float | None:
    """The time of a character, from the nearest characters whose times are known."""
    before = max((each for each in starts if each < character), default=None)
    after = min((each for each in starts if each > character), default=None)
    if character in known or before is None or after is None:
        return known.get(character)
    fraction = (character - before) / (after - before)
    return starts[before] + fraction * (ends[after] - starts[before])


def _rows(song: Song) -> Iterator[tuple[str, int, str]]:
    """Each line: the name of a section that begins with it or "", its first character, its text."""
    sections = {character: str(name) for character, name in song.get("lyrics_sections") or []}
    first = 0
    for row in str(song.get("lyrics") or "").split("\n"):
        yield sections.get(first, ""), first, row
        first += len(row) + 1


def fill_between(text: str, words: Sequence[TimedWord]) -> Iterator[TimedWord]:
    """Words, and what is between them in the text of their line; spaces, if the text has other
    words."""
    places = _places(text, words)
    if not places:
        text = " ".join(word.text for word in words)
        places = _places(text, words)
    end = 0
    for word, place in zip(words, places, strict=True):
        if place > end:
            yield TimedWord(text[end:place])
        yield word
        end = place + len(word.text)
    if text[end:]:
        yield TimedWord(text[end:])


def _places(text: str, words: Sequence[TimedWord]) -> list[int]:
    """Where in a text each word begins; empty if one is not there after the one before."""
    end, places = 0, []
    for word in words:
        place = text.find(word.text, end)
        if place < 0:
            return []
        places.append(place)
        end = place + len(word.text)
    return places
