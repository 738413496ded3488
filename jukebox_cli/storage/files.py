"""Atomic writes, and disk errors as InputErrors.

Every file is written beside its place and moved there, so a reader never sees half a file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from jukebox_cli.interfaces.errors import FULL_DISK_HINT, InputError
from jukebox_cli.storage.durable import (
    make_folder,
    move,
    part_file,
    part_folder,
    sync_file,
    sync_folder,
)

T = TypeVar("T")

AGAIN = "run the same command again to resume"

_DISK_HINTS = {
    errno.ENOSPC: FULL_DISK_HINT,
    errno.EDQUOT: FULL_DISK_HINT,
    errno.EACCES: "change its permissions, or choose another folder",
    errno.EPERM: "change its permissions, or choose another folder",
    errno.EROFS: "choose another folder: this one is read-only",
    errno.ENOTDIR: "choose another folder: part of this path is a file",
    errno.EEXIST: "choose another folder: a file is in the way",
    errno.ENOTEMPTY: "choose another folder: this one has files",
    errno.EISDIR: "choose another name: a folder is in the way",
    errno.ENOENT: "choose another folder: this one can't be made",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EIO: f"the disk can't be written to: check it, then {AGAIN}",
    errno.EFBIG: f"files may not be so large there: choose another folder, or lift the limit "
    f"(`ulimit -f`), then {AGAIN}",
    errno.EMFILE: f"too many files are open: lift the limit (`ulimit -n`), then {AGAIN}",
    errno.ENFILE: f"too many files are open on this machine: close some programs, then {AGAIN}",
}


#: Errors of `os.link` on file systems without hard links, such as exFAT.
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raises InputError, naming `path`, for the errors of a disk that a person can fix."""
    try:
        yield
    except OSError as error:
        hint = _DISK_HINTS.get(error.errno or 0)
        if hint is None:
            raise
        raise InputError(f"can't write {path}: {os.strerror(error.errno or 0)}", hint) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path to write to: renamed to `path` if the block succeeds, else removed. The file
    is on the disk when the block has ended, so that others may depend on it.

    Makes missing parent folders. Raises InputError for what a person can fix about the disk.
    """
    with disk_errors(path):
        make_folder(path.parent)
        with part_file(path) as part:
            yield part
            move(part, path)


def write_text(path: Path, text: str) -> None:
    """Replaces a file atomically with UTF-8 text."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill: moved to `path`, where nothing may be, if the block succeeds,
    else removed. What a process left behind that was killed is removed too.

    Raises InputError for what a person can fix about the disk, and if another process fills it.
    """
    with disk_errors(path):
        make_folder(path.parent)
        with part_folder(path) as part:
            if part is None:
                what = f"{path} is just being written by another process"
                raise InputError(what, "wait until it is done, or choose another name")
            yield part
            sync_folder(part)
            os.rename(part, path)
            sync_folder(path.parent)


def create_text(path: Path, text: str) -> bool:
    """Writes a new file atomically, unless there is one; returns whether it did. Of several
    processes that create a file at once, one does."""
    with disk_errors(path):
        make_folder(path.parent)
        with part_file(path) as part:
            part.write_text(text, encoding="utf-8")
            sync_file(part)
            is_new = _move_unless_there(part, path)
            sync_folder(path.parent)
            return is_new


def _move_unless_there(part: Path, path: Path) -> bool:
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if path.exists():
            return False
        os.replace(part, path)
    return True


class FileStamp(NamedTuple):
    """What tells a version of a file from the next one without reading it."""

    mtime_ns: int
    size: int
    inode: int


def file_stamp(path: Path) -> FileStamp:
    """The stamp of a file. Raises FileNotFoundError if there is none."""
    status = path.stat()
    return FileStamp(status.st_mtime_ns, status.st_size, status.st_ino)


@dataclass
class FileCache(Generic[T]):
    """What was read from files, so that each is read once, and again only when it has changed."""

    _entries: dict[Path, tuple[FileStamp, T]] = field(default_factory=dict)

    def get(self, path: Path, read: Callable[[Path], T]) -> T:
        """The value of `path`, from memory or by `read`. Raises FileNotFoundError, and what
        `read` raises."""
        stamp = file_stamp(path)  # before reading: a change while it is read is seen next time
        entry = self._entries.get(path)
        if entry is None or entry[0] != stamp:
            entry = self._entries[path] = (stamp, read(path))
        return entry[1]
