"""Lyrics with word times, as an .lrc file beside a recording has them, and variants of songs."""

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
    """The words of a song that have times of their own, in the order of the lyrics."""
    times = song.get("lyrics_times") or []
    # a character with two times follows a rest; it is sung at the second
    onsets: dict[int, float] = {character: seconds for character, seconds in times}
    ends = {character: following for (character, _), (_, following) in pairwise(times)}
    return [
        Word(match[0], onsets[character], ends.get(character, onsets[character]))
        for match in re.finditer(r"\S+", song.get("lyrics") or "")
        if (character := match.start()) in onsets
    ]


def normalized_words(text: str) -> list[str]:
    """The words of a text without case and punctuation."""
    return re.findall(r"[^\W_]+", text.casefold().replace("'", "").replace("\u2019", ""))


def without_times(song: Song) -> dict[str, Any]:
    """The song with the same lyrics and no times."""
    return {**song, "lyrics_times": []}


def without_lyrics(song: Song) -> dict[str, Any]:
    """The song without lyrics."""
    return {key: value for key, value in song.items() if not key.startswith("lyrics")}


def with_lyrics_of(song: Song, other: Song) -> dict[str, Any]:
    """The song with the lyrics and times of another."""
    lyrics = {key: value for key, value in other.items() if key.startswith("lyrics")}
    return {**without_lyrics(song), **lyrics}


def with_words_at_own_times(song: Song, words: Sequence[str]) -> dict[str, Any]:
    """The song with other words at the times of its own; too few words are repeated."""
    lyrics, times = "", []
    for number, word in enumerate(sung_words(song)):
        times.append([len(lyrics), word.start])
        lyrics += words[number % len(words)] + " "
        times.append([len(lyrics), word.end])
    return {**without_lyrics(song), "lyrics": lyrics, "lyrics_times": times}
