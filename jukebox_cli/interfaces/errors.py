"""Errors and warnings that are shown to a person as one line each."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

#: What to do about a disk, or a share of it, that is full.
FULL_DISK_HINT = "free some space and run the same command again to resume"


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


#: What to do about files that can't be read, by the system's error.
READ_HINTS = {
    errno.EACCES: "change its permissions, or those of the folders around it",
    errno.EPERM: "change its permissions, or those of the folders around it",
    errno.EIO: "the disk may be failing: copy what is on it, and restore that file from a copy",
    errno.ESTALE: "the network folder was changed or lost: mount it again",
    errno.EMFILE: "close other files, or raise the limit: `ulimit -n 4096`",
    errno.ENFILE: "close other programs: the system has too many open files",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "links lead in a circle there: remove one",
}


def read_error(path: Path, error: OSError) -> InputError:
    """The InputError for a file that can't be read."""
    number = error.errno or 0
    reason = os.strerror(number) if number else str(error)
    return InputError(f"can't read {path}: {reason}", READ_HINTS.get(number, "check the path"))


def combine_errors(problems: Sequence[InputError]) -> InputError:
    """Several errors as one: a line for each message, and each hint once."""
    hints = list(dict.fromkeys(p.hint for p in problems if p.hint))
    return InputError("\n".join(p.message for p in problems), "; ".join(hints) or None)


def is_full_disk(error: Exception) -> bool:
    """Whether an error says that a disk, or a share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


#: What errors say that have no type of their own for it: torch's, the system's, the linker's.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "out of memory",
    "ALLOC_FAILED",
    "Cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left: Python's, numpy's, the native engine's,
    or torch's for a CPU or a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    may_say_so = isinstance(error, (RuntimeError, OSError, ImportError))
    return may_say_so and any(words in str(error) for words in _OUT_OF_MEMORY)


def require_utf8_name(path: Path) -> None:
    """Raises InputError for a path that is not UTF-8: JSON files and libraries can't take it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise utf8_name_error(str(path)) from None


def utf8_name_error(name: str) -> InputError:
    """The InputError for a path that is not UTF-8, written as a shell takes it."""
    name = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return InputError(f"not a name in UTF-8: $'{name}'", "rename that file or folder")
