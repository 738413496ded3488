"""Whether one of two numbers that each song has is the higher, and how sure that is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from math import sqrt

from measure import Row


def mean(what: str, unit: str, values: Sequence[float]) -> Row:
    """The mean of songs, with the lowest and the highest of them."""
    return Row(what, statistics.mean(values), unit, min(values), max(values), len(values))


def compared(what: str, unit: str, first: Sequence[float], second: Sequence[float]) -> list[Row]:
    """The mean over songs of first - second, its standard error, and in how many songs the first
    is higher."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    count = len(differences)
    error = statistics.stdev(differences) / sqrt(count) if count > 1 else float("nan")
    higher = sum(difference > 0 for difference in differences)
    return [
        mean(f"{what}: mean difference", unit, differences),
        Row(f"{what}: its standard error", error, unit, error, error, count),
        Row(f"{what}: songs with more", higher, "songs", higher, higher, count),
    ]
