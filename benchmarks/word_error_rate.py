"""Intelligibility of sung words: word error rate of what Whisper transcribes.

The word error rate is the number of words to replace, insert and delete, over the number of words
in the lyrics: 0 if all words are right, 1 for an empty transcript. Songs share words, so the rate
against the next song's lyrics shows what a transcript has by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from measurements import Row, mean_row, paired_rows
from word_times import normalized_words, sung_words

from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.errors import InputError

#: Words that begin in the last seconds of a recording are ignored, since they are cut off.
MARGIN = 0.2


def words_within(song: Song, seconds: float) -> list[str]:
    """The words that begin in the first `seconds` of a song."""
    words = (word.text for word in sung_words(song) if word.start < seconds - MARGIN)
    return normalized_words(" ".join(words))


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """The least number of replacements, insertions and deletions (Levenshtein distance)."""
    previous = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        row = [i]
        for j, other in enumerate(hypothesis, 1):
            row.append(min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (word != other)))
        previous = row
    return previous[-1]


def word_error_rate(reference: Sequence[str], hypothesis: Sequence[str]) -> float:
    """The edit distance over the length of the reference, which must not be empty."""
    return edit_distance(reference, hypothesis) / len(reference)


def word_error_rows(
    lyrics: Sequence[Sequence[str]], transcripts: Mapping[str, Sequence[str]]
) -> list[Row]:
    """For each version of the songs: word error rates against their own lyrics and against those
    of the next song, and a comparison of the two.

    `lyrics` are the words of each song, `transcripts` the transcript of each song, by version.
    Raises InputError for fewer than two songs.
    """
    if len(lyrics) < 2:
        raise InputError("one song has no others to compare it with", "name two songs or more")
    rows = []
    following = [*lyrics[1:], lyrics[0]]
    for version, texts in transcripts.items():
        words = [normalized_words(text) for text in texts]
        own = [word_error_rate(*pair) for pair in zip(lyrics, words, strict=True)]
        others = [word_error_rate(*pair) for pair in zip(following, words, strict=True)]
        name = f"{version}: word error rate"
        rows.append(_overall_row(name, lyrics, words, own))
        rows.append(mean_row(f"{name}, next song's words", "WER", others))
        rows += paired_rows(f"{name}, next song's words minus own", "WER", others, own)
    return rows


def _overall_row(
    name: str,
    lyrics: Sequence[Sequence[str]],
    transcripts: Sequence[Sequence[str]],
    rates: Sequence[float],
) -> Row:
    """The rate over the words of all songs together, with the best and the worst song."""
    edits = sum(edit_distance(*pair) for pair in zip(lyrics, transcripts, strict=True))
    return Row(name, edits / sum(map(len, lyrics)), "WER", min(rates), max(rates), len(lyrics))
