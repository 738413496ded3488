"""Errors in the fields of plugins name the field, the value and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from jukebox_cli.config.plugin_fields import build_dataclass
from jukebox_cli.interfaces.command_options import option_flag
from support.results import refusal


@dataclass(frozen=True)
class Echo:
    echo_delay: float | None = None
    echo_gain: float | None = None
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.echo_delay is not None and not 0 < self.echo_delay <= 2:
            raise ValueError("must be more than 0 and at most 2", "give seconds")
        if self.echo_gain is not None and self.echo_gain > 9:
            raise ValueError("louder than the sound")
        if self.repeats < 1:
            raise ValueError("repeats must be 1 or more")
        if self.repeats > 5:
            raise ValueError(f"repeats ({self.repeats}) are too many")
        if self.echo_gain and not self.echo_delay:
            raise ValueError("a gain needs a delay")
        if self.repeats > 1 and self.echo_delay == 2:
            raise ValueError("two delays overlap")


def test_values_become_fields() -> None:
    assert build_dataclass(Echo, {"echo_delay": 1}, "echo") == Echo(1.0)


@pytest.mark.parametrize(
    ("label", "values", "message", "hint"),
    [
        (
            *(option_flag, {"echo_delay": 3, "repeats": 2}),
            *("--echo-delay must be more than 0 and at most 2, not 3", "give seconds"),
        ),
        (
            *(None, {"echo_delay": -0.5}),
            *("plugin 'echo': echo_delay must be more than 0 and at most 2, not -0.5",),
            "give seconds",
        ),
        # the error is that of the field that is named, if several are wrong
        (
            *(option_flag, {"repeats": 0, "echo_delay": 3.0}),
            *("--repeats must be 1 or more, not 0", "try it"),
        ),
        (option_flag, {"echo_gain": 10.0}, "--echo-gain 10: louder than the sound", "try it"),
        (None, {"repeats": 6}, "plugin 'echo': repeats (6) are too many", "try it"),
        (
            *(option_flag, {"echo_delay": 2, "repeats": 2}),
            *("plugin 'echo': two delays overlap", "try it"),
        ),
        (
            *(str, {"repeats": "x"}),
            "repeats: must be a whole number (got 'x')",
            "try it",
        ),
        (str, {"repeat": 1}, "no setting 'repeat' of plugin 'echo'", "did you mean 'repeats'?"),
    ],
)
def test_an_invalid_value_is_an_error(
    label: Callable[[str], str] | None, values: Mapping[str, Any], message: str, hint: str
) -> None:
    found = refusal(build_dataclass, Echo, values, "plugin 'echo'", label, "try it")
    assert found == (message, hint)
