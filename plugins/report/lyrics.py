"""The words of an item: those that were asked for, and when they are sung, where that is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jukebox_cli.api import Song
from jukebox_cli.config.schema import validate_format
from jukebox_cli.storage.files import corruption_errors, read_json


@dataclass(frozen=True)
class Piece:
    """A stretch of a line: a word with the seconds it is sung in, or what stands between words."""

    text: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Line:
    """A line of words; or, with no pieces, the name of a section that begins here."""

    pieces: tuple[Piece, ...]
    section: str = ""


def plain(song: Song) -> list[Line]:
    """The words as they were asked for, without times."""
    return [
        Line((), text) if is_section else Line((Piece(text),)) for is_section, text in _rows(song)
    ]


def asked(song: Song) -> list[Line]:
    """The words with the times that were asked for: between two of them, evenly."""
    times = song.get("lyrics_times") or []
    begins: dict[int, float] = dict(times)  # of a letter that follows a rest, when the rest ends
    ends: dict[int, float] = dict(reversed(times))  # ... and when it begins

    def due(letter: int, exact: Mapping[int, float]) -> float | None:
        before = max((each for each in begins if each < letter), default=None)
        after = min((each for each in begins if each > letter), default=None)
        if letter in exact or before is None or after is None:
            return exact.get(letter)
        share = (letter - before) / (after - before)
        return begins[before] + share * (ends[after] - begins[before])

    def piece(word: re.Match[str], line: int) -> Piece:
        start, end = due(line + word.start(), begins), due(line + word.end(), ends)
        return Piece(word[0]) if start is None or end is None else Piece(word[0], start, end)

    found: list[Line] = []
    sections = {letter: name for letter, name in song.get("lyrics_sections") or []}
    for start, row in _starts(song):
        if name := sections.get(start):
            found.append(Line((), str(name)))
        words = [piece(word, start) for word in re.finditer(r"\S+", row)]
        found.append(Line(tuple(_between(row, words))))
    return found


def text(song: Song) -> str:
    """A file that is read as these words: what they are, and which parts of the song they make."""
    return "".join(f"[{row}]\n" if is_section else f"{row}\n" for is_section, row in _rows(song))


def _rows(song: Song) -> Iterator[tuple[bool, str]]:
    """The lines of a song, and before them the names of sections: whether it is one, the text."""
    sections = {letter: name for letter, name in song.get("lyrics_sections") or []}
    for start, row in _starts(song):
        if name := sections.get(start):
            yield True, str(name)
        yield False, row


def _starts(song: Song) -> Iterator[tuple[int, str]]:
    """Lines, and the letter of the text that each begins with."""
    start = 0
    for row in str(song.get("lyrics") or "").split("\n"):
        yield start, row
        start += len(row) + 1


def lrcs(song: Song) -> Iterator[str]:
    """The same with their times, as LRC files: without the rests that follow from the times of
    words, with those between lines, and with the one after the last."""
    times = song.get("lyrics_times") or []
    sung = [letter for letter, _ in times[1:]] + [len(str(song.get("lyrics") or ""))]
    rests = [time for time, after in zip(times, sung, strict=False) if time[0] == after]
    for kept in ([], rests[:-1], rests):
        yield _lrc(song, [time for time in times if time not in rests], kept)


def _lrc(song: Song, sung: Sequence[Any], rests: Sequence[Any]) -> str:
    sections = {letter: name for letter, name in song.get("lyrics_sections") or []}
    rows = []
    for start, row in _starts(song):
        rows += [f"[{_stamp(seconds)}]\n" for letter, seconds in rests if letter == start]
        if start in sections:
            rows.append(f"[{sections[start]}]\n")
        if times := [(at - start, s) for at, s in sung if start <= at < start + len(row)]:
            rows.append(_timed(row, times))
        elif row.strip():
            rows.append(f"{row}\n")
    end = len(str(song.get("lyrics") or ""))
    rows += [f"[{_stamp(seconds)}]\n" for letter, seconds in rests if letter >= end]
    return "".join(rows)


def _timed(row: str, times: Sequence[tuple[int, float]]) -> str:
    if [letter for letter, _ in times] == [0]:
        return f"[{_stamp(times[0][1])}]{row}\n"
    ends = [letter for letter, _ in times[1:]] + [len(row)]
    words = [
        f"<{_stamp(s)}>{row[at:end].strip()}" for (at, s), end in zip(times, ends, strict=True)
    ]
    return f"[{_stamp(times[0][1])}]{row[: times[0][0]]}{' '.join(words)}\n"


def _stamp(seconds: float) -> str:
    """`01:02.345`."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes:02}:{milliseconds / 1000:06.3f}"


def aligned(path: Path) -> list[Line]:
    """The words of an alignment, with the seconds they are sung in. InputError when damaged."""
    data = read_json(path)
    with corruption_errors(path):
        validate_format(data["format"])
        return [_line(row) for row in data["lines"]]


def _line(row: Mapping[str, Any]) -> Line:
    if "section" in row:
        return Line((), str(row["section"]))
    words = row.get("words") or [{**row, "word": row["text"]}]
    return Line(tuple(_between(str(row["text"]), [_word(word) for word in words])))


def _word(row: Mapping[str, Any]) -> Piece:
    """A word; one that is not sung has no times."""
    start, end = (None if row.get(key) is None else float(row[key]) for key in ("start", "end"))
    return Piece(str(row["word"]), start, end)


def _between(text: str, words: Sequence[Piece]) -> Iterator[Piece]:
    """Words, and what stands between them in the text of their line; blanks if it isn't theirs."""
    places = _places(text, words)
    if not places:
        text = " ".join(word.text for word in words)
        places = _places(text, words)
    at = 0
    for word, place in zip(words, places, strict=True):
        if place > at:
            yield Piece(text[at:place])
        yield word
        at = place + len(word.text)
    if text[at:]:
        yield Piece(text[at:])


def _places(text: str, words: Sequence[Piece]) -> list[int]:
    """Where in a text each word begins; nothing when one is not there, after the one before it."""
    at, places = 0, []
    for word in words:
        place = text.find(word.text, at)
        if place < 0:
            return []
        places.append(place)
        at = place + len(word.text)
    return places
