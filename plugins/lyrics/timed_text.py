"""The lyrics of an item as a report shows them, with times if they were given or found.

Times come from an alignment (the files that `jukebox align` writes), or else from the LRC file that
the run was made with.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jukebox_cli.api import Song, TimedLine, TimedText, TimedWord
from jukebox_cli.api.files import corruption_errors, read_own_json

from .text import lines_with_sections

GIVEN_TIMES_HINT = (
    "Words light up when they were asked for: `jukebox align` finds out when they are sung, and a "
    "new report shows it."
)
NO_TIMES_HINT = (
    "When each word is sung is not known yet: `jukebox align` finds out, and a new report shows it."
)


def alignment_file(run: Path, item: int) -> Path:
    """The alignment of an item of a run, whether or not it exists."""
    return run / "alignment" / f"item-{item:02}.json"


def timed_lyrics(song: Song, run: Path, item: int) -> TimedText | None:
    """The lyrics of an item; None if it has none. Raises InputError for a damaged alignment."""
    path = alignment_file(run, item)
    if path.is_file():
        return TimedText("Lyrics", read_alignment(path))
    if not song.get("lyrics"):
        return None
    hint = GIVEN_TIMES_HINT if song.get("lyrics_times") else NO_TIMES_HINT
    return TimedText("Lyrics", lines_of_song(song), hint)


def lines_of_song(song: Song) -> tuple[TimedLine, ...]:
    """The lines of a song's lyrics. Words get times by interpolation between the given ones."""
    times = song.get("lyrics_times") or []
    lines: list[TimedLine] = []
    for section, first, row in lines_with_sections(song):
        if section:
            lines.append(TimedLine(section=section))
        lines.append(TimedLine(tuple(_words_with_times(row, first, times))))
    return tuple(lines)


def _words_with_times(
    row: str, first: int, times: Sequence[tuple[int, float]]
) -> Iterator[TimedWord]:
    """The words of a row whose first character is number `first` of the text."""
    if not times:
        return iter([TimedWord(row)] if row else [])
    # a rest has two times for one character: the sound before ends at the first, that after begins
    # at the second
    onsets, ends = dict(times), dict(reversed(times))
    words = []
    for match in re.finditer(r"\S+", row):
        start = _interpolate(first + match.start(), onsets, onsets, ends)
        end = _interpolate(first + match.end(), ends, onsets, ends)
        is_timed = start is not None and end is not None
        words.append(TimedWord(match[0], start, end) if is_timed else TimedWord(match[0]))
    return _with_gaps(row, words)


def _interpolate(
    character: int,
    exact: Mapping[int, float],
    onsets: Mapping[int, float],
    ends: Mapping[int, float],
) -> float | None:
    """Seconds of a character: exact, or linear between its neighbours; None outside of them."""
    before = max((n for n in onsets if n < character), default=None)
    after = min((n for n in onsets if n > character), default=None)
    if character in exact or before is None or after is None:
        return exact.get(character)
    fraction = (character - before) / (after - before)
    return onsets[before] + fraction * (ends[after] - onsets[before])


def read_alignment(path: Path) -> tuple[TimedLine, ...]:
    """The lines of an alignment file. Raises InputError if it is damaged or of another format."""
    data = read_own_json(path)
    with corruption_errors(path):
        return tuple(_aligned_line(line) for line in data["lines"])


def _aligned_line(line: Mapping[str, Any]) -> TimedLine:
    if "section" in line:
        return TimedLine(section=str(line["section"]))
    words = line.get("words") or [{**line, "word": line["text"]}]
    return TimedLine(tuple(_with_gaps(str(line["text"]), [_aligned_word(w) for w in words])))


def _aligned_word(word: Mapping[str, Any]) -> TimedWord:
    start, end = (None if word.get(key) is None else float(word[key]) for key in ("start", "end"))
    return TimedWord(str(word["word"]), start, end)


def _with_gaps(line: str, words: Sequence[TimedWord]) -> Iterator[TimedWord]:
    """Words with the characters of their line between them; with blanks if they are not in it."""
    positions = _positions(line, words)
    if not positions:
        line = " ".join(word.text for word in words)
        positions = _positions(line, words)
    end = 0
    for word, position in zip(words, positions, strict=True):
        if position > end:
            yield TimedWord(line[end:position])
        yield word
        end = position + len(word.text)
    if line[end:]:
        yield TimedWord(line[end:])


def _positions(line: str, words: Sequence[TimedWord]) -> list[int]:
    """Where each word is in a line, in order; empty if one is not there."""
    end, positions = 0, []
    for word in words:
        position = line.find(word.text, end)
        if position < 0:
            return []
        positions.append(position)
        end = position + len(word.text)
    return positions
