"""Locks exclude other processes, and are free when their process has ended."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

import filelock
import pytest

from jukebox_cli.storage import locks
from jukebox_cli.storage.locks import STALE_SECONDS, WorkLock, command_line, exclusive_lock
from support.results import refusal


def hold(folder: Path, events: Connection) -> None:
    """Holds the lock of a folder for half a second, says when it has it, and ends with a file."""
    with exclusive_lock(folder):
        events.send("held")
        time.sleep(0.5)
        (folder / "done").touch()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    started = get_context("spawn")
    own_end, other_end = started.Pipe()
    other = started.Process(target=hold, args=(tmp_path, other_end))
    other.start()
    assert own_end.recv() == "held"
    with exclusive_lock(tmp_path):
        assert (tmp_path / "done").exists()
    other.join(60)


def test_a_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), exclusive_lock(tmp_path):
        raise ValueError("x")
    with exclusive_lock(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def work(path: Path, events: Connection) -> None:
    """Has a lock until it is killed."""
    sys.argv = ["/usr/bin/jukebox", "train", "prior", "my corpus"]
    lock = WorkLock(path, command_line())
    lock.acquire()
    events.send("held")
    time.sleep(60)


def test_a_lock_says_who_has_it_and_is_free_when_its_process_is_killed(tmp_path: Path) -> None:
    started = get_context("spawn")
    own_end, other_end = started.Pipe()
    path = tmp_path / "deep" / ".part.lock"
    other = started.Process(target=work, args=(path, other_end))
    other.start()
    assert own_end.recv() == "held"
    assert other.pid
    lock = WorkLock(path, "this test")
    assert not lock.acquire()
    text = f"process {other.pid} on {socket.gethostname()} (`jukebox train prior 'my corpus'`)"
    assert str(lock.holder()) == text
    os.kill(other.pid, signal.SIGKILL)
    other.join(60)
    assert lock.acquire()
    lock.release()
    assert list(path.parent.iterdir()) == []


def test_the_holder_of_a_damaged_lock_file_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "part.holder").write_text('{"pid"')
    assert str(WorkLock(tmp_path / "part.lock", "me").holder()) == "another process"
    assert WorkLock(tmp_path / "none.lock", "me").holder() is None


def test_a_process_that_stands_still_keeps_its_lock(tmp_path: Path) -> None:
    one, two = (WorkLock(tmp_path / "part.lock", name) for name in ("one", "two"))
    assert one.acquire()
    make_old(tmp_path / "part.holder")
    assert not two.acquire()
    assert WorkLock(tmp_path / "part.lock", "three", may_be_taken=True).acquire()


def make_old(record: Path) -> None:
    then = time.time() - STALE_SECONDS - 1
    os.utime(record, (then, then))


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """As on a file system without locks."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", fail)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EINVAL, errno.ENOTSUP])
def test_without_locks_records_decide(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch, number)
    one, two = (WorkLock(tmp_path / "part.lock", name) for name in ("one", "two"))
    assert one.acquire()
    assert not two.acquire()
    make_old(tmp_path / "part.holder")
    one.renew()
    assert not two.acquire()
    make_old(tmp_path / "part.holder")
    assert two.acquire()
    two.release()
    assert one.acquire()
    one.release()
    assert list(tmp_path.iterdir()) == []


def test_a_moment_is_exclusive_without_locks_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch, errno.ENOLCK)
    inside: list[int] = []

    def enter() -> None:
        for _ in range(5):
            with exclusive_lock(tmp_path):
                inside.append(1)
                time.sleep(0.002)
                assert inside.pop()
                assert not inside

    threads = [Thread(target=enter) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_can_not_be_written_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "open", fail)
    monkeypatch.setattr(locks, "_lock_file", lambda path, wait: filelock.SoftFileLock(path))
    lock = WorkLock(tmp_path / "part.lock", "me")
    assert lock.acquire()
    monkeypatch.setattr(locks, "_lock_file", lambda path, wait: None)
    assert refusal(lock.acquire)[0] == f"can't write {lock.path}: No space left on device"
