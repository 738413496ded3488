"""Files written whole or not at all, and what can be wrong with a file, as InputErrors.

Every file is written beside its place and moved there, so a reader never sees half a file.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.errors import InputError

if TYPE_CHECKING:
    pass


_DISK_HINTS = {
    errno.ENOSPC: "free some space and run the same command again: it goes on from here",
    errno.EDQUOT: "free some space and run the same command again: it goes on from here",
    errno.EACCES: "change its permissions, or choose another folder",
    errno.EPERM: "change its permissions, or choose another folder",
    errno.EROFS: "choose another folder: this one is read-only",
    errno.ENOTDIR: "choose another folder: part of this path is a file",
    errno.EEXIST: "choose another folder: a file is in the way",
    errno.EISDIR: "choose another name: a folder is in the way",
    errno.ENOENT: "choose another folder: this one can't be made",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what a person can fix about a disk into an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        hint = _DISK_HINTS.get(error.errno or 0)
        if hint is None:
            raise
        raise InputError(f"can't write {path}: {os.strerror(error.errno or 0)}", hint) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path to write to, moved to `path` when the block ends well and removed when not."""
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.chmod(0o666 & ~_umask())  # safetensors writes files that only their owner reads
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask


def write_text(path: Path, text: str) -> None:
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
    """One JSON line at the end of a file; a single write, so lines of two writers don't mix."""
    line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
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


def read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        hint = "restore it from a copy, or make it again"
        raise InputError(f"{path}:{error.lineno}: damaged: {error.msg}", hint) from None
    if not isinstance(data, dict):
        raise InputError(f"{path}: damaged: not a mapping", "restore it from a copy")
    return data


def drop_partial_line(path: Path) -> None:
    """Leaves out a last line that was cut off, so that another can follow."""
    if not _ends_with_newline(path):
        rows = [json.dumps(row, ensure_ascii=False) + "\n" for row in read_jsonl(path)]
        write_text(path, "".join(rows))


@contextmanager
def corruption_errors(path: Path) -> Iterator[None]:
    """Turns what goes wrong with the content of a file of ours into an InputError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        hint = "restore it from a copy, or make it again"
        raise InputError(f"{path} is damaged: {type(error).__name__}: {error}", hint) from None


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl file; a last line that was cut off while it was written is left out."""
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
    """The last row of a .jsonl file that ends well, without reading the others."""
    if not path.exists() or path.stat().st_size == 0:
        return None
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as text:
        begins = text.rfind(b"\n", 0, len(text) - 1) + 1
        row: dict[str, Any] = json.loads(text[begins:])
        return row


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Waits until no other process is within such a block of the same folder."""
    from filelock import FileLock

    path = folder / ".lock"
    with disk_errors(path), FileLock(path):
        yield


@contextmanager
def safetensors_errors() -> Iterator[None]:
    """safetensors wraps the system's errors in its own; they mean the same to a person."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        text = str(error)
        for number in _DISK_HINTS:
            if f"code: {number}," in text or os.strerror(number) in text:
                raise OSError(number, os.strerror(number)) from error
        raise
