"""Claims: which process works on which part of a run, so that several can share the work.

A claim is a lock that the operating system releases when its process ends, however it ends, and a
record of who holds it, whose time is renewed while the process lives. Where a file system keeps the
locks of a machine that is gone, or does not show those of another machine, the record decides: it
counts until it was not renewed for `STALE_SECONDS`.

Nothing depends on a claim being held by one process only. What is claimed has one result, which is
written atomically, so two that do the same only lose time.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from jukebox_cli.storage.files import create_text, disk_errors

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: Seconds between renewals of the records of a process.
RENEWAL_SECONDS = 15.0
#: Seconds without a renewal after which a claim may be taken. The clocks of machines must agree
#: better than that; networks such as Slurm's need that too.
STALE_SECONDS = 180.0
#: Errors of file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Holder:
    """Who has a claim, as its record says."""

    host: str
    pid: int
    worker: str  # how messages name it
    age: float  # seconds since the record was renewed

    def __str__(self) -> str:
        return f"{self.worker} (process {self.pid} on {self.host})"


@dataclass
class Claims:
    """The claims of one worker on parts of a run, by name. Use it as a context manager, which
    renews them, and releases at the end those that are left."""

    folder: Path
    worker: str
    _held: dict[str, BaseFileLock | None] = field(default_factory=dict)
    _stopped: Event = field(default_factory=Event)

    def __enter__(self) -> Claims:
        Thread(target=self._renew, name="claims", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for name in list(self._held):
            self.release(name)

    def take(self, name: str) -> bool:
        """Claims a part, unless another worker has it; returns whether it did."""
        lock, is_free = self._try_lock(name)
        holder = self.holder(name)
        is_stale = holder is not None and (
            holder.age > STALE_SECONDS or (is_free and holder.host == socket.gethostname())
        )
        if is_stale:
            self._record(name).unlink(missing_ok=True)
        text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "worker": self.worker})
        if (is_free or is_stale) and create_text(self._record(name), text):
            self._held[name] = lock
            return True
        if lock:
            lock.release()
        return False

    def release(self, name: str, is_done: bool = False) -> None:
        """Gives a claim back. Deletes its files if that part is done and nobody needs to claim it
        again."""
        lock = self._held.pop(name)
        self._record(name).unlink(missing_ok=True)
        if is_done:
            with suppress(OSError):  # of a system that keeps open files
                self._lock_file(name).unlink(missing_ok=True)
        if lock:
            lock.release()

    def holder(self, name: str) -> Holder | None:
        """Who has a claim; None if nobody has, or if its record is being written."""
        path = self._record(name)
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            age = time.time() - path.stat().st_mtime
            return Holder(str(data["host"]), int(data["pid"]), str(data["worker"]), age)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):  # damaged: as one that nobody renews
            return Holder("", 0, "another worker", float("inf"))

    def _record(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _lock_file(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    def _try_lock(self, name: str) -> tuple[BaseFileLock | None, bool]:
        """The lock of a claim if this process got it, and whether no other process has it, as far
        as the file system knows."""
        from filelock import FileLock, Timeout

        path = self._lock_file(name)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return None, False
            except NotImplementedError:
                return None, True
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                return None, True
        return lock, True

    def _renew(self) -> None:
        while not self._stopped.wait(RENEWAL_SECONDS):
            for name in list(self._held):
                with suppress(OSError):  # another has taken it, or the disk is gone for a moment
                    os.utime(self._record(name))
