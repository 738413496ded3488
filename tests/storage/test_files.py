"""Files are replaced whole; locks exclude; what a person can fix is an InputError."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.files import (
    FileCache,
    atomic_write,
    create_text,
    disk_errors,
    new_folder,
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


def test_a_folder_appears_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "deep" / ".model.part" / "old").mkdir(parents=True)  # of a process that was killed
    (tmp_path / "deep" / ".model.part" / "old.txt").touch()
    with new_folder(tmp_path / "deep" / "model") as folder:
        assert list(folder.iterdir()) == []
        write_text(folder / "one.txt", "1")
        assert not (tmp_path / "deep" / "model").exists()
    assert (tmp_path / "deep" / "model" / "one.txt").read_text() == "1"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with new_folder(tmp_path / "model") as folder:
            write_text(folder / "one.txt", "1")
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_fills_is_an_error(tmp_path: Path) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "model"):
            pass

    with new_folder(tmp_path / "model"):
        error = f"{tmp_path}/model is just being written by another process"
        assert refusal(fill) == (error, "wait until it is done, or choose another name")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


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
        (errno.ENOTEMPTY, "choose another folder: this one has files"),
        (
            errno.EIO,
            "the disk can't be written to: check it, then run the same command again to resume",
        ),
        (
            errno.EFBIG,
            "files may not be so large there: choose another folder, or lift the limit "
            "(`ulimit -f`), then run the same command again to resume",
        ),
        (
            errno.EMFILE,
            "too many files are open: lift the limit (`ulimit -n`), then run the same command "
            "again to resume",
        ),
        (
            errno.ENFILE,
            "too many files are open on this machine: close some programs, then run the same "
            "command again to resume",
        ),
    ],
)
def test_disk_errors_with_a_remedy_are_input_errors(number: int, hint: str) -> None:
    def fail() -> None:
        with disk_errors(Path("x")):
            raise OSError(number, os.strerror(number))

    assert refusal(fail) == (f"can't write x: {os.strerror(number)}", hint)


def test_other_disk_errors_are_not_changed() -> None:
    with pytest.raises(OSError, match="Bad address"), disk_errors(Path("x")):
        raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))


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
