"""Atomic writes, locks, and disk errors as InputErrors.

Every file is written beside its place and moved there, so a reader never sees half a file.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from jukebox_cli.interfaces.errors import FULL_DISK_HINT, InputError
from jukebox_cli.storage.documents import read_jsonl_lines

T = TypeVar("T")

_DISK_HINTS = {
    errno.ENOSPC: FULL_DISK_HINT,
    errno.EDQUOT: FULL_DISK_HINT,
    errno.EACCES: "change its permissions, or choose another folder",
    errno.EPERM: "change its permissions, or choose another folder",
    errno.EROFS: "choose another folder: this one is read-only",
    errno.ENOTDIR: "choose another folder: part of this path is a file",
    errno.EEXIST: "choose another folder: a file is in the way",
    errno.EISDIR: "choose another name: a folder is in the way",
    errno.ENOENT: "choose another folder: this one can't be made",
    errno.ENAMETOOLONG: "choose a shorter name",
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
    """A temporary path to write to: renamed to `path` if the block succeeds, else removed.

    Makes missing parent folders. Raises InputError for what a person can fix about the disk.
    """
    part = part_of(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.chmod(0o666 & ~_umask())  # safetensors writes files that only their owner may read
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """A temporary path beside `path`, to write to before it is moved there."""
    return path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask


def write_text(path: Path, text: str) -> None:
    """Replaces a file atomically with UTF-8 text."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def create_text(path: Path, text: str) -> bool:
    """Writes a new file atomically, unless there is one; returns whether it did. Of several
    processes that create a file at once, one does."""
    part = part_of(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8")
            return _move_unless_there(part, path)
        finally:
            part.unlink(missing_ok=True)


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


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
    """Appends a JSON line in a single write, so that the lines of two processes don't mix."""
    append_line(path, json.dumps(row, ensure_ascii=False))


def append_line(path: Path, text: str) -> None:
    """Appends a line in a single write, after the end of one that was cut off."""
    line = text.encode() + b"\n"
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        start = b"" if _ends_with_newline(path) else b"\n"
        with path.open("ab", buffering=0) as file:
            if file.write(start + line) < len(start + line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _ends_with_newline(path: Path) -> bool:
    """False when the last line of a file was cut off while it was written."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def drop_partial_line(path: Path) -> None:
    """Removes a last line that was cut off while it was written, so that another can follow."""
    if not _ends_with_newline(path):
        write_text(path, "".join(f"{line}\n" for line, _ in read_jsonl_lines(path)))


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lets one process at a time into such a block for the same folder; others wait."""
    from filelock import FileLock

    path = folder / ".lock"
    with disk_errors(path), FileLock(path):
        yield


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
