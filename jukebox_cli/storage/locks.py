"""Locks between processes. The system releases them when a process ends, however it ends.

Some file systems have no locks, some keep those of a machine that is gone, and some do not show
those of another machine. So who works on something for long leaves a record beside the lock, whose
time is renewed (`storage.claims`): that of another machine counts until it was not renewed for
`STALE_SECONDS`, and where there are no locks, that of this one does too.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.storage.durable import NO_LOCKS, make_folder
from jukebox_cli.storage.files import disk_errors

if TYPE_CHECKING:
    from filelock import BaseFileLock

#: Seconds without a renewal after which a record is void. The clocks of machines must agree better
#: than that; networks such as Slurm's need that too.
STALE_SECONDS = 180.0
#: Seconds between looks at a lock that is waited for.
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class LockHolder:
    """The process that has a lock, as its record says."""

    pid: int
    host: str
    worker: str  # how messages name it
    age: float  # seconds since the record was renewed

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.worker})" if self.pid else self.worker


def command_line() -> str:
    """What this process was called with, in backquotes."""
    return f"`{shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}`"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lets one process at a time into such a block for the same folder; others wait. It is for
    changes that take a moment."""
    with disk_errors(folder):
        make_folder(folder)
    path = folder / ".lock"
    with disk_errors(path):
        lock = _lock_file(path, wait=True)
    by_record = WorkLock(path, command_line())
    if lock is None:
        by_record.acquire(wait=True)
    try:
        yield
    finally:
        if lock:
            lock.release()
        else:
            by_record.release()


@dataclass
class WorkLock:
    """A lock that a process has for as long as it works on something, and that says whose it is.

    path: the file of the lock; its record is beside it, with the suffix `.holder`.
    may_be_taken: whether a stale record makes it free although the file system says that it is
        locked. Only for work that two may do at once without harm: a process that is stopped and
        goes on later has such a record.
    """

    path: Path
    worker: str
    may_be_taken: bool = False
    _lock: BaseFileLock | None = None

    def acquire(self, wait: bool = False) -> bool:
        """Takes the lock, unless another process has it; returns whether it did."""
        with disk_errors(self.path.parent):
            make_folder(self.path.parent)
        with disk_errors(self.path):
            while not (is_mine := self._try()) and wait:
                time.sleep(POLL_SECONDS)
        return is_mine

    def release(self) -> None:
        """Gives the lock back, and removes its files: who waits for it makes new ones."""
        with suppress(OSError):  # of a system that keeps open files
            self._record.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
        if self._lock:
            self._lock.release()
            self._lock = None

    def renew(self) -> None:
        """Says that the process is alive."""
        with suppress(OSError):  # another has taken it, or the disk is gone for a moment
            os.utime(self._record)

    def holder(self) -> LockHolder | None:
        """Who has the lock, or had it last; None if nobody has."""
        try:
            text, modified = self._record.read_text("utf-8"), self._record.stat().st_mtime
        except (OSError, UnicodeError):
            return None
        age = time.time() - modified
        try:
            data: dict[str, Any] = json.loads(text)
            return LockHolder(int(data["pid"]), str(data["host"]), str(data["worker"]), age)
        except (ValueError, KeyError, TypeError):  # being written, or damaged
            return LockHolder(0, "", "another process", age)

    @property
    def _record(self) -> Path:
        return self.path.with_name(f"{self.path.name.removesuffix('.lock')}.holder")

    def _try(self) -> bool:
        try:
            lock = _lock_file(self.path, wait=False)
        except BlockingIOError:
            holder = self.holder()
            is_stale = self.may_be_taken and holder is not None and holder.age > STALE_SECONDS
            return is_stale and self._write_record(is_stale=True)
        holder = self.holder()
        # that of a process of this machine which has ended: it would have the lock
        is_ours = lock is not None and holder is not None and holder.host in ("", _host())
        is_stale = holder is not None and (is_ours or holder.age > STALE_SECONDS)
        if (holder is None or is_stale) and self._write_record(is_stale, must=lock is None):
            self._lock = lock
            return True
        if lock:
            lock.release()
        return False

    def _write_record(self, is_stale: bool, must: bool = True) -> bool:
        """Creates the record, after removing a stale one; returns whether it did, or if it need not
        be."""
        text = json.dumps({"host": _host(), "pid": os.getpid(), "worker": self.worker})
        try:
            if is_stale:
                self._record.unlink(missing_ok=True)
            descriptor = os.open(self._record, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        except OSError:
            if must:
                raise
            return True  # a full disk will be said where it matters
        try:
            with suppress(OSError):
                os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
        return True


def _lock_file(path: Path, wait: bool) -> BaseFileLock | None:
    """A lock of the system on a file; None where there are none. Raises BlockingIOError if another
    process has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(path)) from None
    except NotImplementedError:
        return None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return None
    return lock


def _host() -> str:
    return socket.gethostname()
