"""What a command or a function answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from jukebox_cli.interfaces.errors import InputError


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str


def refusal(do: Callable[..., object], *words: Any) -> tuple[str, str | None]:
    """Message and hint of what must be refused."""
    with pytest.raises(InputError) as caught:
        do(*words)
    return caught.value.message, caught.value.hint
