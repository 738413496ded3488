"""Locks between processes. The system releases them when a process ends, however it ends."""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.storage.durable import make_folder
from jukebox_cli.storage.files import disk_errors

if TYPE_CHECKING:
    from filelock import BaseFileLock


@dataclass(frozen=True)
class LockHolder:
    """The process that has a lock, as the lock's file says."""

    pid: int
    host: str
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (`{self.command}`)"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lets one process at a time into such a block for the same folder; others wait. It is for
    changes that take a moment."""
    from filelock import FileLock

    with disk_errors(folder):
        make_folder(folder)
    path = folder / ".lock"
    with disk_errors(path):
        lock = FileLock(path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@dataclass
class WorkLock:
    """A lock that a process has for as long as it works on something, and that says whose it is."""

    path: Path
    _lock: BaseFileLock | None = None

    def acquire(self, wait: bool = False) -> bool:
        """Takes the lock, unless another process has it; returns whether it did."""
        from filelock import FileLock, Timeout

        with disk_errors(self.path.parent):
            make_folder(self.path.parent)
        with disk_errors(self.path):
            lock = FileLock(self.path, timeout=-1 if wait else 0)
            try:
                lock.acquire()
            except Timeout:
                return False
        self._lock = lock
        data = {"pid": os.getpid(), "host": socket.gethostname(), "command": _command()}
        with suppress(OSError):  # of a full disk: that will be said where it matters
            self.path.write_text(json.dumps(data), encoding="utf-8")
        return True

    def release(self) -> None:
        """Gives the lock back, and removes its file: who waits for it takes a new one."""
        if self._lock:
            with suppress(OSError):  # of a system that keeps open files
                self.path.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    def holder(self) -> LockHolder | None:
        """Who has the lock, or had it last; None if that is not known."""
        with suppress(OSError, ValueError, TypeError):
            return LockHolder(**json.loads(self.path.read_text(encoding="utf-8")))
        return None


def _command() -> str:
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
