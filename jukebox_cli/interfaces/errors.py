"""Errors and warnings that are shown to a person as one line each."""

from __future__ import annotations


class InputError(Exception):
    """An error that a person can fix: shown as one line and a hint, exit code 2.

    message: what is wrong, and where; one sentence without a full stop.
    hint: what to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputWarning(UserWarning):
    """Something a person should know but need not fix: `warnings.warn(InputWarning(message))`.

    Shown as one line, once.
    """
