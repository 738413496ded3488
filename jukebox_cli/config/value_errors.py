"""What pydantic and typer say of a wrong value, in plain words."""

from __future__ import annotations

import re

VALUE_HINT = "correct that value"
_LIST_HINT = "write a list, such as [0.5, 0.5, 0.5]"

#: Patterns of messages, each with what is said instead and a hint.
_PLAIN = (
    (r"Input should be a valid integer.*", "must be a whole number", VALUE_HINT),
    (r"Input should be a valid number.*", "must be a number", VALUE_HINT),
    (r"Input should be a finite number", "must be a number", VALUE_HINT),
    (r"Input should be a valid boolean.*", "must be true or false", VALUE_HINT),
    (r"Input should be a valid string", "must be a text", "write it in quotes"),
    (r"Input should be a valid (?:tuple|list)", "must be a list", _LIST_HINT),
    (r"Input should be a valid dictionary", "must be keys with values", "write {key: value}"),
    (r"Input should be greater than or equal to (\S+)", r"must be \1 or more", VALUE_HINT),
    (r"Input should be less than or equal to (\S+)", r"must be at most \1", VALUE_HINT),
    (r"Input should be greater than (\S+)", r"must be more than \1", VALUE_HINT),
    (r"Input should be less than (\S+)", r"must be less than \1", VALUE_HINT),
)


def plain_message(message: str) -> tuple[str, str]:
    """What is wrong with a value, such as `must be a number`, and a hint; other messages as they
    are."""
    message = message.removeprefix("Value error, ")
    for pattern, words, hint in _PLAIN:
        if match := re.fullmatch(pattern, message, re.DOTALL):
            return match.expand(words), hint
    return message, VALUE_HINT
