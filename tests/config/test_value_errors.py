"""Wrong values are explained in plain words."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from jukebox_cli.config.value_errors import VALUE_HINT, plain_message


@pytest.mark.parametrize(
    ("kind", "value", "message", "hint"),
    [
        (int, "x", "must be a whole number", VALUE_HINT),
        (int, 1.5, "must be a whole number", VALUE_HINT),
        (int, [], "must be a whole number", VALUE_HINT),
        (float, "1:30", "must be a number", VALUE_HINT),
        (bool, "maybe", "must be true or false", VALUE_HINT),
        (str, False, "must be a text", "write it in quotes"),
        (tuple[float, ...], 0.5, "must be a list", "write a list, such as [0.5, 0.5, 0.5]"),
        (dict[str, int], "x", "must be keys with values", "write {key: value}"),
    ],
)
def test_the_words_of_pydantic_are_not_shown(
    kind: type, value: object, message: str, hint: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    assert plain_message(caught.value.errors()[0]["msg"]) == (message, hint)


def test_other_messages_stay() -> None:
    assert plain_message("Value error, heads must be 1") == ("heads must be 1", VALUE_HINT)
    words = "Input should be greater than or equal to 1"
    assert plain_message(words) == ("must be 1 or more", VALUE_HINT)
