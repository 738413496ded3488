"""What was said -> the words to sing: text, sections, and the times of an LRC file.

    lyrics           the words, a line each, composed (Unicode NFC)
    lyrics_times     [[letter, seconds], ...]: when some letters begin; empty where nobody said
    lyrics_sections  [[letter, "Chorus"], ...]: where parts of the song begin

A line that is but a name in brackets begins a section. One that has no words, of a name that was
there before, sings those again. An LRC file has a time before each line, and may have one before
each word: https://en.wikipedia.org/wiki/LRC_(file_format).
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from jukebox_cli.api import InputWarning, Values

SECTION = re.compile(r"\s*\[\s*([^\[\]]*?)\s*\]\s*")
STAMP = re.compile(r"\s*\[(\d{1,3}):(\d{1,2}(?:[.:]\d{1,3})?)\]")
WORD_STAMP = re.compile(r"\s*<(\d{1,3}):(\d{1,2}(?:[.:]\d{1,3})?)>\s*")
TAG = re.compile(r"\s*\[([a-z#]+):(.*)\]\s*", re.IGNORECASE)
#: What joins emoji, and what turns a letter into one.
ZERO_WIDTH_JOINER, MARKS = "\u200d", "\ufe0f\u20e3"
#: How much longer than others a line may be sung before a rest must have begun.
REST_FACTOR = 2.0

Times = list[tuple[int, float]]


@dataclass
class Line:
    """One line: its words, the times of letters in it, and the section that begins with it."""

    text: str
    times: Times = field(default_factory=list)
    section: str | None = None


def parse_lyrics(text: str) -> Values:
    """The values of a text, plain or LRC."""
    text = without_emoji(unicodedata.normalize("NFC", text.removeprefix("\ufeff")))
    rows = re.split(r"\r\n|\n|\r", text)
    timed = any(STAMP.match(row) for row in rows)
    lines = list(_timed(rows) if timed else _plain(rows))
    while lines and not timed and not lines[0].text and not lines[0].section:
        lines.pop(0)
    while lines and not timed and not lines[-1].text:
        lines.pop()
    return _joined(lines)


def _joined(lines: list[Line]) -> Values:
    """Lines as one text; what ends at a time without words is no line of it."""
    texts: list[str] = []
    times: Times = []
    sections = []
    length = 0
    for line in lines:
        if line.section:
            sections.append([length, line.section])
        times += [(length + letter, seconds) for letter, seconds in line.times]
        if line.text or not line.times:
            texts.append(line.text)
            length += len(line.text) + 1
    text = "\n".join(texts)
    known = [(min(letter, len(text)), seconds) for letter, seconds in times]
    whole = [
        [letter, round(seconds, 3)] for letter, seconds in _with_rests(_monotonic(known), text)
    ]
    return {"lyrics": text, "lyrics_times": whole, "lyrics_sections": sections}


def _monotonic(times: Times) -> Times:
    """Without what goes back in time, as where two lines are sung at once."""
    kept: Times = []
    for letter, seconds in times:
        if not kept or seconds >= kept[-1][1]:
            kept.append((letter, seconds))
    return kept


def _plain(rows: list[str]) -> Iterator[Line]:
    known: dict[str, list[str]] = {}
    for name, texts in _sections(rows):
        if name is None:
            yield from map(Line, texts)
            continue
        mine = texts if any(text.strip() for text in texts) else known.get(name.casefold(), texts)
        known.setdefault(name.casefold(), mine)
        first, *rest = mine or [""]
        yield Line(first, section=name)
        yield from map(Line, rest)


def _sections(rows: list[str]) -> Iterator[tuple[str | None, list[str]]]:
    """Rows by the name in brackets that stands above them; None for those before the first."""
    name: str | None = None
    held: list[str] = []
    for row in rows:
        if match := SECTION.fullmatch(row):
            yield name, held
            name, held = match[1], []
        else:
            held.append(row)
    yield name, held


def _timed(rows: list[str]) -> list[Line]:
    """The lines of an LRC file in the order they are sung; a line may have several times."""
    lines: list[tuple[float, Line]] = []
    section, late, last = None, 0.0, float("-inf")
    for row in rows:
        stamps, rest = _stamps(row)
        if match := SECTION.fullmatch(rest if stamps else ""):
            section = match[1]
        elif stamps:
            for seconds in stamps:
                lines.append(
                    (seconds, _line(rest, seconds - late, seconds - stamps[0] - late, section))
                )
            section, last = None if rest.strip() else section, stamps[-1]
        elif tag := TAG.fullmatch(row):
            late = _offset(tag[2]) if tag[1].casefold() == "offset" else late
        elif match := SECTION.fullmatch(row):
            section = match[1]
        elif text := row.strip():  # sung after the line before, and nobody said when
            lines.append((last, Line(text, [], section)))
            section = None
    return [line for _, line in sorted(lines, key=lambda each: each[0])]


def _offset(said: str) -> float:
    """Seconds that a file's lines come earlier than their times say."""
    try:
        return float(said) / 1000
    except ValueError:
        return 0.0


def _stamps(row: str) -> tuple[list[float], str]:
    found = []
    while match := STAMP.match(row):
        found.append(_seconds(match))
        row = row[match.end() :]
    return found, row


def _seconds(match: re.Match[str]) -> float:
    return 60 * int(match[1]) + float(match[2].replace(":", "."))


def _line(row: str, seconds: float, later: float, section: str | None) -> Line:
    """A line that begins at a time, with the times of its words, if they have some, so much later
    than they say."""
    parts = WORD_STAMP.split(row)  # text, minutes, seconds, text ...
    text, times = parts[0].strip(), [(0, max(0.0, seconds))]
    for minutes, rest, word in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text = text if not text or not word else f"{text} "
        at = 60 * int(minutes) + float(rest.replace(":", ".")) + later
        times.append((len(text), max(0.0, at)))
        text += word.strip()
    others = times[1:]  # the time of the first word is that of the line, or more exact
    mine = others if others and others[0][0] == 0 else times
    return Line(text, mine, section if text else None)


def _with_rests(times: Times, text: str) -> Times:
    """The same with an end where a rest begins: the next time is far, or there is none."""
    if not times:
        return []
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(times)]
    paces = [seconds / letters for letters, seconds in steps if letters > 0 and seconds > 0]
    pace = REST_FACTOR * median(paces) if paces else 0.2
    ends = [*times[1:], (len(text), float("inf"))]
    whole: Times = []
    for (letter, start), (following, until) in zip(times, ends, strict=True):
        whole.append((letter, start))
        end = start + (following - letter) * pace
        if following > letter and end < until:
            whole.append((following, end))
    return whole


def without_emoji(text: str) -> str:
    """The text without emoji and the like, which nobody can sing; a warning says which."""
    kept: list[str] = []
    left_out: list[str] = []
    after_one = False
    for letter in text:
        after_one = _is_emoji(letter) or (after_one and letter == ZERO_WIDTH_JOINER)
        (left_out if after_one else kept).append(letter)
    if shown := "".join(dict.fromkeys(n for n in left_out if n.isprintable() and n not in MARKS)):
        warnings.warn(InputWarning(f"lyrics: left out {shown}, which can't be sung"), stacklevel=2)
    return "".join(kept)


def _is_emoji(letter: str) -> bool:
    skin = "\U0001f3fb" <= letter <= "\U0001f3ff"
    tag = "\U000e0020" <= letter <= "\U000e007f"  # which spell out a flag
    return (
        skin or tag or letter in MARKS or unicodedata.category(letter) in ("So", "Cs", "Co", "Cn")
    )
