"""Lyrics as they are written -> text, section names, and the times of an LRC file.

    lyrics           the text, one line of lyrics per line, in Unicode NFC
    lyrics_times     [[character, seconds], ...]: onsets of some characters; empty if unknown
    lyrics_sections  [[character, "Chorus"], ...]: where sections of the song begin

A line that is only a name in brackets begins a section. A section without lines that has the name
of an earlier one repeats its lines. An LRC file has a time before each line, and may have one
before each word: https://en.wikipedia.org/wiki/LRC_(file_format).
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from jukebox_cli.api import InputWarning, Song, Values

SECTION = re.compile(r"\s*\[\s*([^\[\]]*?)\s*\]\s*")
#: `1:23`, `1:23.4`, `1:23:45` (hundredths), `0:01:23.45` (hours) and with a comma, as programs
#: write times.
TIME = r"(?:(?P<h>\d{1,2}):(?=\d+:\d+[.,]))?(?P<m>\d{1,6}):(?P<s>\d{1,2}(?:[.,:]\d{1,9})?)"
LINE_TIME = re.compile(rf"\s*\[\s*{TIME}\s*\]")
WORD_TIME = re.compile(rf"\s*[<\[]\s*{TIME}\s*[>\]]\s*")
#: What looks like a time and is none of these.
UNREAD_TIME = re.compile(r"[<\[]\s*\d+:[\d.,:]*\s*[>\]]")
TAG = re.compile(r"\s*\[([a-z#]+):(.*)\]\s*", re.IGNORECASE)
#: Joins several emoji into one; follows a character that is to be shown as an emoji.
ZERO_WIDTH_JOINER, EMOJI_MARKS = "\u200d", "\ufe0f\u20e3"
#: A line is assumed to last at most this many times as long as the median of its characters.
REST_FACTOR = 2.0
#: Assumed seconds per character where no two times give them.
DEFAULT_CHARACTER_SECONDS = 0.2

Times = list[tuple[int, float]]


@dataclass
class Line:
    """One line: its text, the onsets of characters in it, and the section that begins with it."""

    text: str
    times: Times = field(default_factory=list)
    section: str | None = None


def parse_lyrics(text: str) -> Values:
    """The values of a plain text or an LRC file (see the module). Emoji are dropped with a warning.

    Empty lines at the ends of a plain text are dropped too.
    """
    text = without_emoji(unicodedata.normalize("NFC", text.removeprefix("\ufeff")))
    rows = re.split(r"\r\n|\n|\r", text)
    is_lrc = any(LINE_TIME.match(row) for row in rows)
    lines = list(_lrc_lines(rows) if is_lrc else _plain_lines(rows))
    _warn_of_unread_times(lines)
    while lines and not is_lrc and not lines[0].text and not lines[0].section:
        lines.pop(0)
    while lines and not is_lrc and not lines[-1].text:
        lines.pop()
    return _join(lines)


def _warn_of_unread_times(lines: list[Line]) -> None:
    if found := [time[0] for line in lines for time in UNREAD_TIME.finditer(line.text)]:
        message = f"lyrics: {found[0]} is not a time as in LRC files, so it is sung"
        warnings.warn(InputWarning(message), stacklevel=3)


def _join(lines: list[Line]) -> Values:
    """The values of lines. A line with a time but no text only ends the line before it."""
    texts: list[str] = []
    times: Times = []
    sections = []
    length = 0
    for line in lines:
        if line.section:
            sections.append([length, line.section])
        times += [(length + character, seconds) for character, seconds in line.times]
        if line.text or not line.times:
            texts.append(line.text)
            length += len(line.text) + 1
    text = "\n".join(texts)
    clamped = [(min(character, len(text)), seconds) for character, seconds in times]
    with_rests = _with_rests(_monotonic(clamped), text)
    rounded = [[character, round(seconds, 3)] for character, seconds in with_rests]
    return {"lyrics": text, "lyrics_times": rounded, "lyrics_sections": sections}


def _monotonic(times: Times) -> Times:
    """Times without those that go back, as where two lines overlap."""
    kept: Times = []
    for character, seconds in times:
        if not kept or seconds >= kept[-1][1]:
            kept.append((character, seconds))
    return kept


def _plain_lines(rows: list[str]) -> Iterator[Line]:
    """The lines of a plain text, with those of repeated sections filled in."""
    lines_by_name: dict[str, list[str]] = {}
    for name, texts in _sections(rows):
        if name is None:
            yield from map(Line, texts)
            continue
        key = name.casefold()
        lines = texts if any(t.strip() for t in texts) else lines_by_name.get(key, texts)
        lines_by_name.setdefault(key, lines)
        first, *rest = lines or [""]
        yield Line(first, section=name)
        yield from map(Line, rest)


def _sections(rows: list[str]) -> Iterator[tuple[str | None, list[str]]]:
    """Rows grouped by the section name above them; None for those before the first name."""
    name: str | None = None
    group: list[str] = []
    for row in rows:
        if match := SECTION.fullmatch(row):
            yield name, group
            name, group = match[1], []
        else:
            group.append(row)
    yield name, group


def _lrc_lines(rows: list[str]) -> list[Line]:
    """The lines of an LRC file in the order they are sung; a line may have several times."""
    lines: list[tuple[float, Line]] = []
    section, offset, previous = None, 0.0, float("-inf")
    for row in rows:
        onsets, rest = _line_times(row)
        if match := SECTION.fullmatch(rest if onsets else ""):
            section = match[1]
        elif onsets:
            for seconds in onsets:
                shift = seconds - onsets[0] - offset  # word times are those of the first repeat
                lines.append((seconds, _line(rest, seconds - offset, shift, section)))
            section, previous = None if rest.strip() else section, onsets[-1]
        elif tag := TAG.fullmatch(row):
            offset = _offset(tag[2]) if tag[1].casefold() == "offset" else offset
        elif match := SECTION.fullmatch(row):
            section = match[1]
        elif text := row.strip():  # no time: sung after the line before
            lines.append((previous, Line(text, [], section)))
            section = None
    return [line for _, line in sorted(lines, key=lambda each: each[0])]


def _offset(text: str) -> float:
    """Seconds by which an `offset` tag, in milliseconds, moves all lines earlier."""
    try:
        return float(text) / 1000
    except ValueError:
        return 0.0


def _line_times(row: str) -> tuple[list[float], str]:
    """The times before a line in seconds, and the rest of the row."""
    onsets = []
    while match := LINE_TIME.match(row):
        onsets.append(_seconds(match))
        row = row[match.end() :]
    return onsets, row


def _seconds(time: re.Match[str]) -> float:
    seconds = float(re.sub("[:,]", ".", time["s"]))
    return 3600 * int(time["h"] or 0) + 60 * int(time["m"]) + seconds


def _line(row: str, onset: float, shift: float, section: str | None) -> Line:
    """A line with its onset and those of its words, if any, which are moved by `shift` seconds. A
    time at the end of a line is when it ends."""
    times = list(WORD_TIME.finditer(row))
    ends = [*(time.start() for time in times), len(row)]
    text, line_time = row[: ends[0]].strip(), (0, max(0.0, onset))
    word_times: Times = []
    for time, end in zip(times, ends[1:], strict=True):
        word = row[time.end() : end].strip()
        text = text if not text or not word else f"{text} "
        word_times.append((len(text), max(0.0, _seconds(time) + shift)))
        text += word
    # a time for the first word is more precise than that of the line
    first_has_time = word_times and word_times[0][0] == 0
    line_times = word_times if first_has_time else [line_time, *word_times]
    return Line(text, line_times, section if text else None)


def _with_rests(times: Times, text: str) -> Times:
    """Times with the end of a line added where the next one is far away or missing."""
    if not times:
        return []
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(times)]
    durations = [seconds / count for count, seconds in steps if count > 0 and seconds > 0]
    longest = REST_FACTOR * median(durations) if durations else DEFAULT_CHARACTER_SECONDS
    following = [*times[1:], (len(text), float("inf"))]
    with_ends: Times = []
    for (character, start), (next_character, next_start) in zip(times, following, strict=True):
        with_ends.append((character, start))
        end = start + (next_character - character) * longest
        if next_character > character and end < next_start:
            with_ends.append((next_character, end))
    return with_ends


def lines_with_sections(song: Song) -> Iterator[tuple[str, int, str]]:
    """Lines of a song's lyrics as (section that begins there or "", first character, text)."""
    sections = {character: str(name) for character, name in song.get("lyrics_sections") or []}
    first = 0
    for line in str(song.get("lyrics") or "").split("\n"):
        yield sections.get(first, ""), first, line
        first += len(line) + 1


def without_emoji(text: str) -> str:
    """The text without emoji and other symbols that can't be sung; a warning lists them."""
    kept: list[str] = []
    dropped: list[str] = []
    after_emoji = False
    for character in text:
        after_emoji = _is_emoji(character) or (after_emoji and character == ZERO_WIDTH_JOINER)
        (dropped if after_emoji else kept).append(character)
    visible = [c for c in dropped if c.isprintable() and c not in EMOJI_MARKS]
    if shown := "".join(dict.fromkeys(visible)):
        warnings.warn(InputWarning(f"lyrics: left out {shown}, which can't be sung"), stacklevel=2)
    return "".join(kept)


def _is_emoji(character: str) -> bool:
    skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    flag_tag = "\U000e0020" <= character <= "\U000e007f"  # spells the region of a flag
    if skin_tone or flag_tag or character in EMOJI_MARKS:
        return True
    return unicodedata.category(character) in ("So", "Cs", "Co", "Cn")
