"""What a person asks for, as presets and flags say it -> a run that can be worked on."""

from __future__ import annotations

import re

from jukebox_cli.interfaces.errors import InputError

MAX_ITEMS = 10_000


def parse_items(text: str | int, *, count: bool, where: str = "--items") -> tuple[int, ...]:
    """`2,5` and `4-7` are those items; `4` is items 0 to 3 when `count`, item 4 when not."""
    words = str(text).replace(" ", "")
    ranges = []
    if re.fullmatch(r"\d{1,9}", words) and count:
        ranges = [range(int(words))]
    elif re.fullmatch(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*,?", words):
        parts = [part.split("-") for part in words.split(",") if part]
        ranges = [range(int(part[0]), int(part[-1]) + 1) for part in parts]
    if not all(ranges) or not ranges:
        hint = "write a number, a list 0,2 or a range 4-7"
        raise InputError(f"can't read {where} '{text}'", hint)
    if sum(map(len, ranges)) > MAX_ITEMS:
        hint = "make them in several runs, or in several commands with 0-9999, 10000-19999 ..."
        raise InputError(f"{where} '{text}' are more than {MAX_ITEMS:,} at once", hint)
    return tuple(sorted({number for each in ranges for number in each}))
