"""Text -> the ids of letters, and which of them a window is told."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class EncodedText(NamedTuple):
    """A text in letters that are known."""

    ids: list[int]  # letter i of the alphabet has id i + 1
    origins: list[int]  # the place in the text that each stands for
    dropped: str  # letters that nothing known is near to


class TextWindow(NamedTuple):
    """Letters `start` .. `end` of a text, in the slots from `slot` on of what a window is told."""

    start: int
    end: int
    slot: int


def encode_text(text: str, alphabet: str) -> EncodedText:
    """Every letter as itself, or as near as can be, or not at all."""
    known = {letter: number for number, letter in enumerate(alphabet, 1)}
    nearest = {letter: _nearest(letter, known) for letter in dict.fromkeys(text)}
    pairs = [(known[part], n) for n, letter in enumerate(text) for part in nearest[letter]]
    lost = "".join(letter for letter, spelling in nearest.items() if not spelling)
    return EncodedText([number for number, _ in pairs], [n for _, n in pairs], lost)


def _nearest(letter: str, known: Mapping[str, int]) -> str:
    """A letter in known ones: itself, in the other case, without its accents, or in those of
    English."""
    if letter in known:
        return letter
    from anyascii import anyascii

    plain = unicodedata.normalize("NFKD", letter)
    picture = unicodedata.category(letter) == "So"  # it would be spelled `:smile:`
    line = "\n" if letter == "\\" else ""  # a backslash ends a line, as in Jukebox
    for spelling in (plain, line, "" if picture else anyascii(letter)):
        if kept := "".join(_in_either_case(part, known) for part in spelling):
            return kept
    return ""


def _in_either_case(letter: str, known: Mapping[str, int]) -> str:
    return next((each for each in (letter, letter.lower(), letter.upper()) if each in known), "")


def is_sung(letter: str) -> bool:
    """Whether a letter is missed where it is left out: a comma, say, is not."""
    return unicodedata.category(letter)[0] in "LNM"


def clamped_window(length: int, size: int, middle: int) -> tuple[int, int]:
    """The `size` of `length` letters around one of them: all of them if they are fewer."""
    if length < size:
        return 0, length
    half = size // 2
    middle = min(max(middle, half), length - half)
    return middle - half, middle + half


def right_aligned_window(length: int, size: int, middle: int) -> TextWindow:
    """As in Jukebox: as many letters as there is place for, and nothing before them."""
    start, end = clamped_window(length, size, middle)
    return TextWindow(start, end, size - (end - start))


def centered_window(length: int, size: int, middle: int) -> TextWindow:
    """Letter `middle` in the middle, with nothing before the first and after the last."""
    first = middle - size // 2
    start, end = max(0, first), max(0, min(length, first + size))
    return TextWindow(min(start, end), end, start - first)


def character_at(seconds: float, times: Sequence[Sequence[float]], origins: Sequence[int]) -> int:
    """Which letter is sung at a time, as spelled: between two whose times are known, evenly."""
    after = bisect_right([at for _, at in times], seconds)
    if after == 0:
        return bisect_left(origins, times[0][0])
    letter, start = times[after - 1]
    if after < len(times):
        following, end = times[after]
        letter += (following - letter) * (seconds - start) / (end - start)
    return bisect_left(origins, int(letter))
