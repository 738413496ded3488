"""Writing lyrics: stored values -> a file that is read as them again; an alignment -> LRC files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jukebox_cli.api import Song

from .text import lines_with_sections

Time = Sequence[Any]  # [character of the text, seconds]

#: Stored times are off by less than this, being rounded to milliseconds.
ROUNDING_SECONDS = 0.0006


def alignment_to_lrc(alignment: Mapping[str, Any], word_times: bool) -> str:
    """An alignment (see `alignment.align`) as LRC, with times of lines and perhaps of words."""
    rows = []
    for line in alignment["lines"]:
        if "start" in line:
            text = _words_with_times(line) if word_times else line["text"]
            rows.append(f"[{format_time(line['start'])}]{text}")
    return "\n".join(rows) + "\n"


def _words_with_times(line: Mapping[str, Any]) -> str:
    words = list(line["words"])
    while "start" not in words[-1]:  # the song ends before them
        words.pop()
    parts = [
        f"<{format_time(w['start'])}>{w['word']}" if "start" in w else w["word"] for w in words
    ]
    return f"{' '.join(parts)}<{format_time(line['end'])}>"


def format_time(seconds: float, decimals: int = 2) -> str:
    """`01:02.34`: minutes and seconds."""
    units = 10**decimals
    minutes, rest = divmod(round(seconds * units), 60 * units)
    return f"{minutes:02}:{rest / units:0{decimals + 3}.{decimals}f}"


def lyrics_files(song: Song) -> Iterator[tuple[str, str]]:
    """Suffix and text of files that may be read as a song's lyrics, the simplest first.

    A text file has no times, and reading an LRC file adds rests that follow from its times. So try
    which of the files is read as exactly these values.
    """
    yield ".txt", song["lyrics"]
    rows = lines_with_sections(song)
    yield ".txt", "".join(f"{_section_row(section)}{row}\n" for section, _, row in rows)
    times: Sequence[Time] = song.get("lyrics_times") or []
    following = [character for character, _ in times[1:]] + [len(song["lyrics"])]
    are_rests = [time[0] == after for time, after in zip(times, following, strict=False)]
    onsets = [time for time, is_rest in zip(times, are_rests, strict=True) if not is_rest]
    rests = [
        _Rest(time, time[0] - before[0], time[1] - before[1])
        for before, time, is_rest in zip([*times[:1], *times], times, are_rests, strict=False)
        if is_rest
    ]
    for written in ([], *_explicit_rests(rests), [rest.time for rest in rests]):
        yield ".lrc", _lrc_text(song, onsets, written)


@dataclass(frozen=True)
class _Rest:
    """A time at which the sound ends before the next time, which is one of the same character."""

    time: Time
    characters: int  # since the time before
    seconds: float  # since the time before

    def is_as_fast_as(self, other: _Rest) -> bool:
        """Whether both have the same number of seconds per character, but for rounding."""
        difference = self.seconds * other.characters - other.seconds * self.characters
        return abs(difference) < ROUNDING_SECONDS * (self.characters + other.characters)


def _explicit_rests(rests: Sequence[_Rest]) -> list[list[Time]]:
    """Choices of rests that a file may have had, the shortest first.

    The others follow from its times, for which reading takes the same number of seconds per
    character everywhere.
    """
    choices = [[r.time for r in rests if not r.is_as_fast_as(other)] for other in rests]
    return sorted(choices, key=len)


def _lrc_text(song: Song, onsets: Sequence[Time], rests: Sequence[Time]) -> str:
    lines = []
    for section, start, row in lines_with_sections(song):
        lines += [_end_row(seconds) for character, seconds in rests if character == start]
        lines.append(_section_row(section))
        # a time after the last character is the end of the line
        times = [(at - start, s) for at, s in onsets if start <= at <= start + len(row)]
        lines.append(_timed_row(row, times) if times else f"{row}\n" if row.strip() else "")
    end = len(song["lyrics"])
    lines += [_end_row(seconds) for character, seconds in rests if character >= end]
    return "".join(lines)


def _section_row(section: str) -> str:
    return f"[{section}]\n" if section else ""


def _end_row(seconds: float) -> str:
    """A row without text: the line above ends then."""
    return f"[{format_time(seconds, 3)}]\n"


def _timed_row(row: str, times: Sequence[tuple[int, float]]) -> str:
    line_time = f"[{format_time(times[0][1], 3)}]"
    if [character for character, _ in times] == [0]:
        return f"{line_time}{row}\n"
    ends = [character for character, _ in times[1:]] + [len(row)]
    words = [
        f"<{format_time(seconds, 3)}>{row[at:end].strip()}"
        for (at, seconds), end in zip(times, ends, strict=True)
    ]
    return f"{line_time}{row[: times[0][0]]}{' '.join(words)}\n"
