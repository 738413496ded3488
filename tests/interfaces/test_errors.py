"""Errors that a person can fix."""

from __future__ import annotations

import errno
from pathlib import Path

from jukebox_cli.interfaces.errors import (
    InputError,
    InputWarning,
    is_full_disk,
    require_utf8_name,
)
from support.results import refusal


def test_an_error_has_a_message_and_perhaps_a_hint() -> None:
    error = InputError("no file a.wav", "check the path")
    assert (error.message, error.hint, str(error)) == (
        "no file a.wav",
        "check the path",
        "no file a.wav",
    )
    assert InputError("no file a.wav").hint is None


def test_a_warning_is_one_that_python_can_filter() -> None:
    assert issubclass(InputWarning, UserWarning)


def test_a_full_disk_is_told_from_other_errors() -> None:
    errors = [OSError(errno.ENOSPC, "x"), OSError(errno.EDQUOT, "x"), OSError(errno.EACCES, "x")]
    assert [is_full_disk(error) for error in (*errors, ValueError())] == [True, True, False, False]


def test_a_name_that_is_not_utf8_is_written_as_a_shell_takes_it() -> None:
    require_utf8_name(Path("ø/a b.wav"))
    expected = ("not a name in UTF-8: $'ø/a b\\xff.wav'", "rename that file or folder")
    assert refusal(require_utf8_name, Path("ø/a b\udcff.wav")) == expected
