"""Locks exclude other processes, and are free when their process has ended."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from jukebox_cli.storage.locks import LockHolder, WorkLock, exclusive_lock


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
    lock = WorkLock(path)
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
    lock = WorkLock(path)
    assert not lock.acquire()
    assert lock.holder() == LockHolder(
        other.pid, socket.gethostname(), "jukebox train prior 'my corpus'"
    )
    text = f"process {other.pid} on {socket.gethostname()} (`jukebox train prior 'my corpus'`)"
    assert str(lock.holder()) == text
    os.kill(other.pid, signal.SIGKILL)
    other.join(60)
    assert lock.acquire()
    lock.release()
    assert list(path.parent.iterdir()) == []


def test_the_holder_of_a_damaged_lock_file_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text('{"pid"')
    assert WorkLock(tmp_path / "lock").holder() is None
    assert WorkLock(tmp_path / "none").holder() is None
