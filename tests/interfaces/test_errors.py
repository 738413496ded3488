"""Errors that a person can fix."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import torch

from jukebox_cli.interfaces.errors import (
    InputError,
    InputWarning,
    is_full_disk,
    is_out_of_memory,
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


def raised(function: object, *arguments: object) -> BaseException:
    try:
        function(*arguments)  # type: ignore[operator]
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_errors_of_memory_are_known_by_whoever_raises_them() -> None:
    huge = 1 << 50
    assert is_out_of_memory(raised(np.zeros, huge))
    assert is_out_of_memory(raised(torch.empty, huge))
    assert is_out_of_memory(MemoryError("the native engine has no memory left"))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(OSError(12, "Cannot allocate memory"))
    assert is_out_of_memory(ImportError("a.so: failed to map segment from shared object"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("out of memory"))
