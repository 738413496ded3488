"""The items that a command works on: `--items` is their number, `--only` selects some of them."""

from __future__ import annotations

import re

from jukebox_cli.interfaces.errors import InputError

#: Maximum number of items of one command.
MAX_ITEMS = 10_000


def parse_number_list(text: str, where: str = "--only") -> tuple[int, ...]:
    """The numbers of a list such as `2`, `0,2` or `0,2,4-7`, sorted and without duplicates.

    Raises InputError if the text is not such a list, or lists more than `MAX_ITEMS` numbers. The
    message names `where`, the option.
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
    """All items from 0 to `count` - 1, or those that `only` lists.

    Raises InputError if the count is below 1, if `only` lists an item that does not exist, or for
    more than `MAX_ITEMS` items. `where` is the option or preset key of the count, for messages.
    """
    if count < 1:
        raise InputError(f"{where} must be 1 or more, not {count}", "try 1")
    if only is None:
        _validate_number(count, f"{where} {count}")
        return tuple(range(count))
    items = parse_number_list(only)
    if items[-1] >= count:
        existing = "is only item 0" if count == 1 else f"are only items 0 to {count - 1}"
        raise InputError(
            f"--only '{only}': there {existing}",
            f"set the number of items: --items {items[-1] + 1}",
        )
    return items


def _validate_number(number: int, what: str) -> None:
    if number > MAX_ITEMS:
        hint = "use several commands: --only 0-9999, --only 10000-19999 ..."
        raise InputError(f"{what} asks for more than {MAX_ITEMS:,} items at once", hint)
