"""Files are replaced whole; locks exclude; what a person can fix is an InputError."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.files import (
    FileCache,
    append_jsonl,
    atomic_write,
    create_text,
    disk_errors,
    drop_partial_line,
    exclusive_lock,
    write_text,
)
from support.results import refusal


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == path.parent
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("link_error", [None, errno.EPERM, errno.ENOTSUP])
def test_a_file_is_created_once(
    link_error: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: Path) -> None:
        raise OSError(link_error, "no hard links")

    if link_error:
        monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "deep" / "file.txt"
    assert create_text(path, "one")
    assert not create_text(path, "other")
    assert path.read_text() == "one"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_file_that_cannot_be_created_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*paths: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.link", fail)
    message, hint = refusal(create_text, tmp_path / "file.txt", "one")
    assert message == f"can't write {tmp_path}/file.txt: No space left on device"
    assert hint == "free some space and run the same command again to resume"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "x")]
)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as part:
            part.write_text("half of the n")
            raise error

    full = isinstance(error, OSError)
    with pytest.raises(InputError if full else type(error)):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, texts = tmp_path / "file.txt", ["a" * 100_000, "b" * 50_000]
    write_text(path, texts[0])
    done = threading.Event()

    def write() -> None:
        for n in range(200):
            write_text(path, texts[n % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_text())
    writer.join()
    assert seen <= set(texts)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space and run the same command again to resume"),
        (errno.EDQUOT, "free some space and run the same command again to resume"),
        (errno.EACCES, "change its permissions, or choose another folder"),
        (errno.EPERM, "change its permissions, or choose another folder"),
        (errno.EROFS, "choose another folder: this one is read-only"),
        (errno.ENOTDIR, "choose another folder: part of this path is a file"),
        (errno.EEXIST, "choose another folder: a file is in the way"),
        (errno.EISDIR, "choose another name: a folder is in the way"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.ENOENT, "choose another folder: this one can't be made"),
    ],
)
def test_disk_errors_with_a_remedy_are_input_errors(number: int, hint: str) -> None:
    def fail() -> None:
        with disk_errors(Path("x")):
            raise OSError(number, os.strerror(number))

    assert refusal(fail) == (f"can't write x: {os.strerror(number)}", hint)


def test_other_disk_errors_are_not_changed() -> None:
    with pytest.raises(OSError, match="Input/output error"), disk_errors(Path("x")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_line_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    append_jsonl(path, {"a": 1})
    append_jsonl(path, {"b": "ü\u2028"})
    assert path.read_bytes().count(b"\n") == 2
    assert read_jsonl(path) == [{"a": 1}, {"b": "ü\u2028"}]


def test_a_line_after_a_truncated_one_is_separate(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    append_jsonl(path, {"c": 3})
    assert path.read_text().splitlines() == ['{"a": 1}', '{"b"', '{"c": 3}']


def test_a_line_that_is_written_in_part_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(data[:3])

    monkeypatch.setattr(Path, "open", lambda *words, **more: Full())
    path = tmp_path / "log.jsonl"
    assert refusal(append_jsonl, path, {"a": 1}) == (
        f"can't write {path}: No space left on device",
        "free some space and run the same command again to resume",
    )


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    drop_partial_line(path)
    assert path.read_text() == '{"a": 1}\n'


# caches


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    path, cache = tmp_path / "x", FileCache[str]()
    texts = iter(["first", "second"])
    write_text(path, "1")
    assert [cache.get(path, lambda _: next(texts)) for _ in range(3)] == ["first"] * 3
    write_text(path, "2")
    assert [cache.get(path, lambda _: next(texts)) for _ in range(3)] == ["second"] * 3
    path.unlink()
    with pytest.raises(FileNotFoundError):
        cache.get(path, lambda _: "")


# locks


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
