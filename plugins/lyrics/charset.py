"""Characters -> ids of a model's charset, and the part of a text that one window sees."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class EncodedText(NamedTuple):
    """A text in the characters of a charset."""

    ids: list[int]  # character i of the charset has id i + 1
    origins: list[int]  # for each id, the index of the character in the text that it stands for
    dropped: str  # characters of the text that have no replacement in the charset


class TextWindow(NamedTuple):
    """Characters `start` to `end` of an encoded text, at positions from `slot` on in a window."""

    start: int
    end: int
    slot: int


def encode_text(text: str, charset: str) -> EncodedText:
    """Encode each character as itself, as its closest replacement, or not at all."""
    ids = {character: number for number, character in enumerate(charset, 1)}
    replacements = {character: _replacement(character, ids) for character in dict.fromkeys(text)}
    pairs = [(ids[part], n) for n, character in enumerate(text) for part in replacements[character]]
    dropped = "".join(character for character, known in replacements.items() if not known)
    return EncodedText([number for number, _ in pairs], [n for _, n in pairs], dropped)


def _replacement(character: str, ids: Mapping[str, int]) -> str:
    """A character in known ones, or "" if there are none for it.

    In order of preference: itself, in the other case, without accents, transliterated to ASCII.
    """
    if character in ids:
        return character
    from anyascii import anyascii

    decomposed = unicodedata.normalize("NFKD", character)
    is_emoji = unicodedata.category(character) == "So"  # anyascii would give `:smile:`
    line_break = "\n" if character == "\\" else ""  # as in the original
    for candidate in (decomposed, line_break, "" if is_emoji else anyascii(character)):
        if known := "".join(_in_known_case(part, ids) for part in candidate):
            return known
    return ""


def _in_known_case(character: str, ids: Mapping[str, int]) -> str:
    cases = (character, character.lower(), character.upper())
    return next((case for case in cases if case in ids), "")


def is_sung(character: str) -> bool:
    """Whether it matters that a character is dropped: letters, digits, accents; not punctuation."""
    return unicodedata.category(character)[0] in "LNM"


def clamped_window(length: int, size: int, middle: int) -> tuple[int, int]:
    """Start and end of `size` characters around one of `length`, moved to lie inside the text."""
    if length < size:
        return 0, length
    half = size // 2
    middle = min(max(middle, half), length - half)
    return middle - half, middle + half


def right_aligned_window(length: int, size: int, middle: int) -> TextWindow:
    """The window of the original: as many characters as there are, padded on the left."""
    start, end = clamped_window(length, size, middle)
    return TextWindow(start, end, size - (end - start))


def centered_window(length: int, size: int, middle: int) -> TextWindow:
    """The window with character `middle` at position size // 2, padded outside the text."""
    first = middle - size // 2
    start, end = max(0, first), max(0, min(length, first + size))
    return TextWindow(min(start, end), end, start - first)


def character_at(seconds: float, times: Sequence[Sequence[float]], origins: Sequence[int]) -> int:
    """Index in the encoded text of the character that is sung at a time.

    times: [character of the text, onset in seconds], interpolated linearly between two of them.
    """
    following = bisect_right([onset for _, onset in times], seconds)
    if following == 0:
        return bisect_left(origins, times[0][0])
    character, start = times[following - 1]
    if following < len(times):
        next_character, end = times[following]
        character += (next_character - character) * (seconds - start) / (end - start)
    return bisect_left(origins, int(character))
