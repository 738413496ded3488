"""Whether the words that are sung can be made out: the word error rate of what Whisper writes down.

Words that were replaced, added or left out, over the words there are: 0 is all of them right, and
one who writes down nothing has 1. Songs share words, so one who hears other songs' words has less
than that: how much less, the words of the next song tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from measure import Row
from paired import compared, mean
from word_times import normal, sung_words

from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.errors import InputError

#: Of the end of a recording: a word cut off there is too short to be heard.
MARGIN = 0.2  # seconds


def sung_within(song: Song, seconds: float) -> list[str]:
    """The words that begin in the first `seconds` of a song."""
    within = (word.text for word in sung_words(song) if word.start < seconds - MARGIN)
    return normal(" ".join(within))


def edits(wanted: Sequence[str], got: Sequence[str]) -> int:
    """The fewest words to replace, add and leave out (Levenshtein's distance)."""
    before = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        row = [i]
        for j, other in enumerate(got, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (word != other)))
        before = row
    return before[-1]


def word_error_rate(wanted: Sequence[str], got: Sequence[str]) -> float:
    """Edits over the words that are wanted, of which there must be some."""
    return edits(wanted, got) / len(wanted)


def reading(texts: Sequence[Sequence[str]], renditions: Mapping[str, Sequence[str]]) -> list[Row]:
    """For each rendition of the songs: word error rates with their own words, with those of the
    next song, and how the two compare.

    texts: the words of each song. renditions: what was written down of each, by what was heard.
    """
    if len(texts) < 2:
        raise InputError("one song has no others to compare it with", "name two songs or more")
    rows = []
    nexts = [*texts[1:], texts[0]]
    for what, heard in renditions.items():
        read = [normal(text) for text in heard]
        own = [word_error_rate(t, r) for t, r in zip(texts, read, strict=True)]
        others = [word_error_rate(t, r) for t, r in zip(nexts, read, strict=True)]
        rows.append(_all_words(f"{what}: word error rate", texts, read, own))
        rows.append(mean(f"{what}: word error rate with the next song's words", "WER", others))
        rows += compared(f"{what}: the next song's words over its own", "WER", others, own)
    return rows


def _all_words(
    what: str, texts: Sequence[Sequence[str]], read: Sequence[Sequence[str]], each: Sequence[float]
) -> Row:
    """The rate over the words of all songs together."""
    total = sum(edits(t, r) for t, r in zip(texts, read, strict=True))
    return Row(what, total / sum(map(len, texts)), "WER", min(each), max(each), len(texts))
