"""What a plugin author needs, and nothing else: no torch, no numpy.

A *conditioner* steers a prior (artist, genre, lyrics ...). A *sampler* turns logits into the
distribution a token is drawn from; a *guide* is one that also sees them where nothing is told. All
are frozen dataclasses, so that their fields can become flags, YAML keys and a file beside the
weights without being written down twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


class InputError(Exception):
    """Something a person can fix: shown as one line and a hint, exit code 2.

    `message` says what and where, `hint` says what to do about it.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputWarning(UserWarning):
    """Something a person should know but need not mend: `warnings.warn(InputWarning(message))`.

    Shown as one line, once.
    """
