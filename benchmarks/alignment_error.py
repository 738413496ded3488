"""How far from the truth `jukebox align` says that words begin, on held-out songs of known times.

Beside it are two guesses that listen to nothing: letters spread evenly over the song, and evenly
from its first word to the end of its last, which nobody would know.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from main_job import JUKEBOX
from measure import Row, row
from paired import mean
from word_times import Word, normal

from jukebox_cli.interfaces.errors import InputError

NEAR = (0.3, 1.0)  # seconds


def align(run: Path, device: str) -> None:
    """Runs `jukebox align`; InputError with what it says when it can't."""
    words = [*JUKEBOX, "align", str(run), "--device", device, "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"can't align {run}: {done.stderr.strip()}", "align it by hand to see why")


def aligned_words(file: Path) -> list[Word]:
    """The words of an item's alignment that have times, in order."""
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    rows = [word for line in data["lines"] for word in line.get("words", [])]
    return [Word(row["word"], row["start"], row["end"]) for row in rows if "start" in row]


def spread(words: Sequence[Word], first: float, last: float) -> list[Word]:
    """Words spread from one time to another, as long as they have letters."""
    ends = [0]
    for word in words:
        ends.append(ends[-1] + len(word.text) + 1)
    times = [first + (last - first) * end / ends[-1] for end in ends]
    return [
        Word(word.text, start, end)
        for word, start, end in zip(words, times, times[1:], strict=False)
    ]


def errors(truth: Sequence[Word], said: Sequence[Word]) -> list[float]:
    """How many seconds from the truth each word begins that both have, in the order of both."""
    mine, theirs = (["".join(normal(w.text)) for w in words] for words in (truth, said))
    blocks = SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks()
    pairs = [(b.a + i, b.b + i) for b in blocks for i in range(b.size)]
    return [abs(truth[i].start - said[j].start) for i, j in pairs]


def alignment_error(
    songs: Sequence[Sequence[Word]], guesses: Mapping[str, Sequence[Sequence[Word]]]
) -> list[Row]:
    """For each guess: the errors of all words, their mean over songs, and the share that is near.

    songs: when the words of each are sung. guesses: when they are said to be, by who says so.
    """
    rows = []
    for what, said in guesses.items():
        each = [errors(t, s) for t, s in zip(songs, said, strict=True)]
        every = [error for song in each for error in song]
        if not every:
            raise InputError(f"{what} has none of the words", "look at the run's alignment folder")
        rows.append(row(f"{what}: error of a word", "s", every))
        rows.append(
            mean(f"{what}: mean error of a song", "s", [statistics.mean(s) for s in each if s])
        )
        rows += [_near(what, every, seconds) for seconds in NEAR]
        lost = sum(map(len, songs)) - len(every)
        rows.append(Row(f"{what}: words not said", lost, "words", lost, lost, len(songs)))
    return rows


def _near(what: str, every: Sequence[float], seconds: float) -> Row:
    share = sum(error <= seconds for error in every) / len(every)
    return Row(f"{what}: words within {seconds:g} s", share, "share", share, share, len(every))


def controls(
    songs: Sequence[Sequence[Word]], lengths: Sequence[float]
) -> dict[str, list[list[Word]]]:
    """The guesses that listen to nothing; lengths of the songs in seconds."""
    return {
        "evenly over the song": [
            spread(s, 0.0, length) for s, length in zip(songs, lengths, strict=True)
        ],
        "evenly over the singing": [
            spread(s, min(w.start for w in s), max(w.end for w in s)) for s in songs
        ],
    }
