"""Which items of a run a command works on: `--items N` is how many, `--only LIST` is which."""

from __future__ import annotations

import re

from jukebox_cli.interfaces.errors import InputError

#: Most items of one command.
MAX_ITEMS = 10_000


def parse_number_list(text: str, where: str = "--only") -> tuple[int, ...]:
    """The numbers of a list such as `2`, `0,2` or `0,2,4-7`, sorted, each once.

    Raises InputError, which names `where`, for a text that is no such list or that lists more than
    `MAX_ITEMS`.
    """
    words = text.replace(" ", "")
    ranges = []
    if re.fullmatch(r"\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*", words):
        parts = [part.split("-") for part in words.split(",")]
        ranges = [range(int(part[0]), int(part[-1]) + 1) for part in parts]
    if not ranges or not all(ranges):
        raise InputError(f"can't read {where} '{text}'", "write a list such as 2, 0,2 or 4-7")
    _validate_number(sum(map(len, ranges)), f"{where} '{text}'")
    return tuple(sorted({number for each in ranges for number in each}))


def select_items(count: int, only: str | None, where: str = "--items") -> tuple[int, ...]:
    """The items from 0 to `count` - 1, or those of them that `only` lists.

    Raises InputError for a count below 1, for an item that `only` lists and is not among them, and
    for more than `MAX_ITEMS`; `where` says where the count comes from.
    """
    if count < 1:
        raise InputError(f"{where} must be 1 or more, not {count}", "try 1")
    if only is None:
        _validate_number(count, f"{where} {count}")
        return tuple(range(count))
    items = parse_number_list(only)
    if items[-1] >= count:
        there = f"there {'is only item 0' if count == 1 else f'are only items 0 to {count - 1}'}"
        raise InputError(
            f"--only '{only}': {there}", f"say how many there are: --items {items[-1] + 1}"
        )
    return items


def _validate_number(number: int, what: str) -> None:
    if number > MAX_ITEMS:
        hint = "make them in several commands: --only 0-9999, --only 10000-19999 ..."
        raise InputError(f"{what} asks for more than {MAX_ITEMS:,} items at once", hint)
