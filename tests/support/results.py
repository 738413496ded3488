"""Results of commands, and errors of functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from jukebox_cli.interfaces.errors import InputError


@dataclass(frozen=True)
class Result:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


def refusal(do: Callable[..., object], *words: Any) -> tuple[str, str | None]:
    """Message and hint of the InputError that a call must raise."""
    with pytest.raises(InputError) as caught:
        do(*words)
    return caught.value.message, caught.value.hint
