"""Error of word onsets that `jukebox align` finds, on held-out songs whose word times are known.

Two baselines do not listen to the audio: characters spread evenly over the song, and evenly from
the first word to the end of the last (which in practice would not be known).
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from machine import JUKEBOX
from measurements import Row, mean_row, median_row, single_row
from word_times import Word, normalized_words

from jukebox_cli.interfaces.errors import InputError

TOLERANCES = (0.3, 1.0)  # seconds


def run_align(run: Path, device: str) -> None:
    """Run `jukebox align`. Raises InputError with its message if it fails."""
    command = [*JUKEBOX, "align", str(run), "--device", device, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        hint = "run `jukebox align` on it to see why"
        raise InputError(f"can't align {run}: {done.stderr.strip()}", hint)


def aligned_words(file: Path) -> list[Word]:
    """The words of an item's alignment that have times, in order."""
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    words = [word for line in data["lines"] for word in line.get("words", [])]
    return [Word(word["word"], word["start"], word["end"]) for word in words if "start" in word]


def spread_words(words: Sequence[Word], start: float, end: float) -> list[Word]:
    """The words, spread from `start` to `end` seconds in proportion to their characters."""
    offsets = [0]
    for word in words:
        offsets.append(offsets[-1] + len(word.text) + 1)
    times = [start + (end - start) * offset / offsets[-1] for offset in offsets]
    return [Word(word.text, *span) for word, *span in zip(words, times, times[1:], strict=False)]


def onset_errors(truth: Sequence[Word], estimate: Sequence[Word]) -> list[float]:
    """Absolute onset errors in seconds of the words that both have, matched in order."""
    first, second = (
        ["".join(normalized_words(w.text)) for w in words] for words in (truth, estimate)
    )
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    pairs = [(block.a + i, block.b + i) for block in blocks for i in range(block.size)]
    return [abs(truth[i].start - estimate[j].start) for i, j in pairs]


def alignment_error_rows(
    truth: Sequence[Sequence[Word]], estimates: Mapping[str, Sequence[Sequence[Word]]]
) -> list[Row]:
    """For each estimate: the errors of all words, their mean per song, and how many are small.

    `truth` has the true times of the words of each song, and `estimates` the estimated ones, by the
    name of the method. Raises InputError if a method has none of the words.
    """
    rows = []
    for name, estimate in estimates.items():
        songs = [onset_errors(t, e) for t, e in zip(truth, estimate, strict=True)]
        errors = [error for song in songs for error in song]
        if not errors:
            raise InputError(f"{name} has none of the words", "look at the run's alignment folder")
        means = [statistics.mean(song) for song in songs if song]
        rows.append(median_row(f"{name}: word onset error", "s", errors))
        rows.append(mean_row(f"{name}: mean word onset error per song", "s", means))
        rows += [_within(name, errors, tolerance) for tolerance in TOLERANCES]
        missing = sum(map(len, truth)) - len(errors)
        rows.append(single_row(f"{name}: words not aligned", "words", missing, len(truth)))
    return rows


def _within(name: str, errors: Sequence[float], tolerance: float) -> Row:
    fraction = sum(error <= tolerance for error in errors) / len(errors)
    return single_row(f"{name}: words within {tolerance:g} s", "fraction", fraction, len(errors))


def baselines(
    songs: Sequence[Sequence[Word]], durations: Sequence[float]
) -> dict[str, list[list[Word]]]:
    """Estimates that do not listen to the audio, by name; `durations` of the songs in seconds."""
    return {
        "baseline, words spread over the song": [
            spread_words(song, 0.0, duration)
            for song, duration in zip(songs, durations, strict=True)
        ],
        "baseline, words spread over the singing": [
            spread_words(song, min(w.start for w in song), max(w.end for w in song))
            for song in songs
        ],
    }
