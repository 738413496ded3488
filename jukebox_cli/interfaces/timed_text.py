"""Text that belongs to an item, such as lyrics, with the times at which its words are sung.

A conditioner may return one from `timed_text`; the report shows it beside the players and
highlights each word while it is heard.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimedWord:
    """A word of a line, or the characters between two words.

    start, end: when the word begins and ends, in seconds from the beginning of the item; None for
        what is between words, and for a word whose time is not known.
    """

    text: str
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class TimedLine:
    """A line of words; without words, the name of a section that begins here.

    words: joined without separators they are the line.
    """

    words: tuple[TimedWord, ...] = ()
    section: str = ""


@dataclass(frozen=True)
class TimedText:
    """A text with its times.

    title: a heading, such as "Lyrics".
    lines: the text, line by line.
    hint: a sentence for the reader, for example where the times come from; code in `backquotes`.
    """

    title: str
    lines: tuple[TimedLine, ...]
    hint: str = ""

    @property
    def is_timed(self) -> bool:
        """Whether the time of any word is known."""
        return any(word.start is not None for line in self.lines for word in line.words)
