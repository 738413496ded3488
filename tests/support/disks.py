"""Disks that can be full."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Protocol

import pytest


class Disk(Protocol):
    """A place to write to that can be full."""

    path: Path

    def fill(self) -> None: ...

    def free(self) -> None: ...


class SmallDisk:
    """A file system of 256 kB."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        space = os.statvfs(self.path)
        (self.path / "filling").write_bytes(b"x" * space.f_bavail * space.f_frsize)

    def free(self) -> None:
        (self.path / "filling").unlink()


class PretendedDisk:
    """For those who may not mount one: files can not be moved into place while it is full."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.monkeypatch = path, monkeypatch

    def fill(self) -> None:
        def full(*words: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.monkeypatch.setattr(os, "replace", full)

    def free(self) -> None:
        self.monkeypatch.undo()


def mount(path: Path, options: str) -> bool:
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
