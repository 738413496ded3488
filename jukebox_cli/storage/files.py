"""Atomic writes, JSON files, and disk errors as InputErrors.

Every file is written beside its place and moved there, so a reader never sees half a file.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from jukebox_cli.config.schema import FORMAT, FormatError
from jukebox_cli.config.yaml_files import read_text, read_yaml, validate_config
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

RESTORE_HINT = "restore it from a copy, or make it again"

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


def load_own_config(kind: type[T], path: Path, keys: Sequence[str]) -> T:
    """The config in a YAML file that this program wrote.

    Raises InputError for a file that is damaged, such as empty or without one of `keys`, of another
    format, or with unknown keys or bad values.
    """
    if not read_text(path).strip():
        raise InputError(f"{path} is damaged: it is empty", RESTORE_HINT)
    data = read_yaml(path, RESTORE_HINT)
    require_format(data.get("format", FORMAT), path)
    config = validate_config(kind, data, path)
    if missing := [key for key in keys if key not in data]:
        raise InputError(f"{path} is damaged: it has no '{missing[0]}'", RESTORE_HINT)
    return config


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file. Raises InputError if the file is missing or damaged."""
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path) -> dict[str, Any]:
    """The mapping in the text of the JSON file `path`. Raises InputError if it is damaged."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"{path}:{error.lineno}: damaged: {error.msg}"
        raise InputError(message, RESTORE_HINT) from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: damaged: not a mapping", "restore it from a copy")
    return data


def require_format(found: object, path: Path) -> None:
    """Raises InputError if `found`, the format that `path` names, is not the one written here."""
    number = int(text) if (text := str(found)).isdecimal() else None
    if number is None:
        raise InputError(f"{path} names no format", RESTORE_HINT)
    if number != FORMAT:
        error = FormatError(number)
        raise InputError(f"{path}: {error}", error.hint)


@contextmanager
def corruption_errors(path: Path) -> Iterator[None]:
    """Raises InputError for errors that a damaged file causes where its content is used."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"{path} is damaged: {type(error).__name__}: {error}"
        raise InputError(message, RESTORE_HINT) from None


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl file, without a last line that was cut off while it was written.

    Raises InputError for any other line that is no JSON.
    """
    rows = []
    lines = read_text(path).removesuffix("\n").split("\n") if path.stat().st_size else []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise InputError(
                f"{path}:{number}: bad JSON: {error.msg}", "correct that line"
            ) from None
    return rows


def last_jsonl_row(path: Path) -> dict[str, Any] | None:
    """The last row of a .jsonl file whose last line is complete, without reading the others."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        start = text.rfind(b"\n", 0, len(text) - 1) + 1
        row: dict[str, Any] = json.loads(text[start:])
        return row


def safetensors_header(entries: Mapping[str, Any]) -> bytes:
    """What a safetensors file begins with: the header's length (8 bytes, little endian) and the
    header (JSON, padded with spaces).

    entries: dtype, shape and data_offsets of each tensor by name; metadata as `__metadata__`. The
        safetensors library writes metadata in random order, so that files of the same content
        differ; here it stays in order.
    """
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


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
