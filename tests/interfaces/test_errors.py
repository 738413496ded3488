"""Errors that a person can fix."""

from __future__ import annotations

from jukebox_cli.interfaces.errors import InputError, InputWarning


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
