"""The words of a song, and when each is sung, as an .lrc file beside a recording says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from jukebox_cli.interfaces.conditioner import Song


class Word(NamedTuple):
    """A word and when it is sung, in seconds."""

    text: str
    start: float
    end: float


def sung_words(song: Song) -> list[Word]:
    """The words of a song that have times of their own, in the order of its text."""
    times = song.get("lyrics_times") or []
    # of a letter with two times, the second: there a rest ended
    starts: dict[int, float] = {letter: seconds for letter, seconds in times}
    ends = {letter: following for (letter, _), (_, following) in pairwise(times)}
    return [
        Word(match[0], starts[letter], ends.get(letter, starts[letter]))
        for match in re.finditer(r"\S+", song.get("lyrics") or "")
        if (letter := match.start()) in starts
    ]


def normal(text: str) -> list[str]:
    """The words of a text, so that two who write them differently agree."""
    return re.findall(r"[^\W_]+", text.casefold().replace("'", "").replace("\u2019", ""))


def without_times(song: Song) -> dict[str, Any]:
    """The same song, of whose words nobody said when they are sung."""
    return {**song, "lyrics_times": []}


def without_words(song: Song) -> dict[str, Any]:
    """The same song, of which nobody said what is sung."""
    return {key: value for key, value in song.items() if not key.startswith("lyrics")}


def with_words_of(song: Song, other: Song) -> dict[str, Any]:
    """The same song with the words of another, at that one's times."""
    theirs = {key: value for key, value in other.items() if key.startswith("lyrics")}
    return {**without_words(song), **theirs}


def with_words_at_times(song: Song, texts: Sequence[str]) -> dict[str, Any]:
    """The same song with other words, sung when its own are; too few are sung again."""
    mine = sung_words(song)
    lyrics, times = "", []
    for number, word in enumerate(mine):
        times.append([len(lyrics), word.start])
        lyrics += texts[number % len(texts)] + " "
        times.append([len(lyrics), word.end])
    return {**without_words(song), "lyrics": lyrics, "lyrics_times": times}
