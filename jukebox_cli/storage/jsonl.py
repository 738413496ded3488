"""Appending lines to .jsonl files: logs, and the songs of a corpus."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from jukebox_cli.storage.durable import lock_descriptor, make_folder, sync_folder
from jukebox_cli.storage.files import disk_errors


def append_jsonl(path: Path, row: Mapping[str, Any]) -> None:
    """As `append_line`, of a row as JSON."""
    append_line(path, json.dumps(row, ensure_ascii=False))


def append_line(path: Path, text: str) -> None:
    """Appends a line that is whole and on the disk, or raises an error and changes nothing. The
    lines of several processes don't mix."""
    line = text.encode() + b"\n"
    with disk_errors(path):
        make_folder(path.parent)
        is_new = not path.exists()
        with path.open("a+b", buffering=0) as file:
            with suppress(OSError):  # where there are no locks
                lock_descriptor(file.fileno(), wait=True)
            end = _drop_partial_line(file)
            try:
                _write_all(file, line)
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(end)
                raise
        if is_new:
            sync_folder(path.parent)


def _write_all(file: FileIO, data: bytes) -> None:
    """Writes data also where the system takes it in pieces."""
    while data:
        data = data[file.write(data) :]


def _read_all(file: FileIO, start: int, end: int) -> bytes:
    """The bytes between two places, also where the system gives them in pieces."""
    file.seek(start)
    data = b""
    while piece := file.read(end - start - len(data)):
        data += piece
    return data


def _drop_partial_line(file: FileIO) -> int:
    """Removes a last line that was cut off while it was written; returns the size that is left. A
    line that is complete but for its end, as a text editor leaves it, gets that."""
    size = end = file.seek(0, os.SEEK_END)
    last = b""
    while end and not last.startswith(b"\n"):
        start = max(0, end - 4096)
        piece = _read_all(file, start, end)
        cut = piece.rfind(b"\n")
        end, last = (start, piece + last) if cut < 0 else (start + cut, piece[cut:] + last)
    line = last.removeprefix(b"\n")
    if not line:
        return size
    if _is_json(line):
        _write_all(file, b"\n")
        return size + 1
    file.truncate(size - len(line))
    return size - len(line)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def drop_partial_line(path: Path) -> None:
    """Removes a last line that was cut off while it was written, so that another can follow."""
    if path.exists():
        with disk_errors(path), path.open("a+b", buffering=0) as file:
            _drop_partial_line(file)
