"""`--items` and `--only`."""

from __future__ import annotations

import pytest

from jukebox_cli.sampling.items import MAX_ITEMS, parse_number_list, select_items
from support.results import refusal

HINT = "write a list such as 2, 0,2 or 4-7"
TOO_MANY = "use several commands: --only 0-9999, --only 10000-19999 ..."


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("2", (2,)),
        ("0,2", (0, 2)),
        ("4-7", (4, 5, 6, 7)),
        ("0,2,4-7", (0, 2, 4, 5, 6, 7)),
        ("7, 4 - 5, 4", (4, 5, 7)),
        ("3-3", (3,)),
    ],
)
def test_a_list_of_items_is_sorted_without_duplicates(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_number_list(text) == numbers


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "4-2", "1,,2", "1,", "1" * 10, "1-2-3"])
def test_an_invalid_list_is_refused(text: str) -> None:
    assert refusal(parse_number_list, text) == (f"can't read --only '{text}'", HINT)
    assert refusal(parse_number_list, text, "--levels") == (f"can't read --levels '{text}'", HINT)


@pytest.mark.parametrize("text", ["0-10000", "0-9000,9000-99999", "0-999999999"])
def test_too_many_numbers_are_refused(text: str) -> None:
    message = f"--only '{text}' asks for more than 10,000 items at once"
    assert refusal(parse_number_list, text) == (message, TOO_MANY)


def test_without_only_all_items_are_selected() -> None:
    assert select_items(3, None) == (0, 1, 2)
    assert len(select_items(MAX_ITEMS, None)) == MAX_ITEMS


def test_only_selects_some_of_any_number_of_items() -> None:
    assert select_items(8, "4-7") == (4, 5, 6, 7)
    assert select_items(10**6, "999999") == (999_999,)


def test_items_that_do_not_exist_are_refused() -> None:
    assert refusal(select_items, 8, "4-8") == (
        "--only '4-8': there are only items 0 to 7",
        "set the number of items: --items 9",
    )
    assert refusal(select_items, 1, "1") == (
        "--only '1': there is only item 0",
        "set the number of items: --items 2",
    )


def test_a_number_of_items_is_at_least_1_and_at_most_10_000() -> None:
    where = "items in p.yaml:3"
    assert refusal(select_items, 0, None, where) == (f"{where} must be 1 or more, not 0", "try 1")
    message = f"{where} 10001 asks for more than 10,000 items at once"
    assert refusal(select_items, 10_001, None, where) == (message, TOO_MANY)
