"""What is written is synced in the right order, and nobody takes another's temporary file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jukebox_cli.storage import durable
from jukebox_cli.storage.durable import make_folder, part_file, part_folder, sync_folder
from jukebox_cli.storage.files import create_text, write_text
from jukebox_cli.storage.jsonl import append_jsonl


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced and moved, in order."""
    found: list[str] = []
    fsync, replace = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        found.append(f"sync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def move(source: Path, target: Path) -> None:
        found.append(f"move {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", move)
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


@needs_proc
def test_a_file_is_synced_before_it_is_moved_and_its_folder_after_it(
    tmp_path: Path, calls: list[str]
) -> None:
    write_text(tmp_path / "deep" / "folder" / "a.txt", "a")
    folders = [f"sync {tmp_path.name}", "sync deep"]
    assert calls == [*folders, "sync .a.txt.part", "move a.txt", "sync folder"]


@needs_proc
def test_a_line_is_synced_and_the_folder_of_a_new_file(tmp_path: Path, calls: list[str]) -> None:
    for number in (1, 2):
        append_jsonl(tmp_path / "log.jsonl", {"a": number})
    assert calls == ["sync log.jsonl", f"sync {tmp_path.name}", "sync log.jsonl"]


def test_a_temporary_file_of_a_killed_process_is_used_again(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.part").write_text("left behind, and longer")
    (tmp_path / ".a.txt.2.part").touch()
    write_text(tmp_path / "a.txt", "a")
    assert (tmp_path / "a.txt").read_text() == "a"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_temporary_file_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with part_file(path) as first:
        first.write_text("first")
        with part_file(path) as second:
            assert (first.name, second.name) == (".a.txt.part", ".a.txt.2.part")
        assert first.read_text() == "first"
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_file_that_became_the_file_is_not_written_to_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("whole")
    os.link(tmp_path / "a.txt", tmp_path / ".a.txt.part")  # killed just after that
    assert not create_text(tmp_path / "a.txt", "other")
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_without_locks_temporary_files_have_names_of_their_own(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, wait: bool = False) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable, "lock_descriptor", no_locks)
    with part_file(tmp_path / "a.txt") as first, part_file(tmp_path / "a.txt") as second:
        assert first != second
        first.write_text("first")
        assert second.read_text() == ""
    with part_folder(tmp_path / "folder") as folder:
        assert folder == tmp_path / ".folder.part"
    assert [path.name for path in tmp_path.iterdir()] == []


def test_another_error_of_a_lock_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, wait: bool = False) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(durable, "lock_descriptor", fail)
    with pytest.raises(OSError, match="Input/output error"), part_file(tmp_path / "a.txt"):
        pass
    with pytest.raises(OSError, match="Input/output error"), part_folder(tmp_path / "folder"):
        pass


@pytest.mark.parametrize("function", ["open", "fsync"])
def test_systems_that_can_not_sync_a_folder_are_no_error(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, fail)
    number = errno.EINVAL
    sync_folder(tmp_path)
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(tmp_path)


def test_folders_are_made_with_those_above(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
