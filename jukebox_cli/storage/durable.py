"""Files that survive a power cut: what is written is on the disk before anything depends on it.

A new file is written beside its place, synced, and moved there; then its folder is synced. Its
temporary name, `.NAME.part`, is always the same, so what a process left behind that was killed is
overwritten by the next one that writes the file. A lock on the temporary file, which the system
releases when its process ends, keeps others away while it is written: they take `.NAME.2.part`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: Errors of systems that can't sync a folder.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)
#: Errors of file systems without locks.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.EBADF)


def _file_mode() -> int:
    os.umask(mask := os.umask(0))
    return 0o666 & ~mask


#: Permissions of new files. To read the mask is to change it for a moment, for all threads, so it
#: is done once, before there are any.
_FILE_MODE = _file_mode()


def sync_file(path: Path) -> None:
    """Returns when a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Returns when the names in a folder are on the disk, where the system can tell."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_FOLDER_SYNC:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Makes a folder and those above it, unless they are there, so that they last."""
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent)
    if path.is_file():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    path.mkdir(exist_ok=True)
    sync_folder(path.parent)


def delete_file(path: Path) -> None:
    """Removes a file, if it is there, so that it does not come back."""
    if path.exists():
        path.unlink(missing_ok=True)
        sync_folder(path.parent)


def move(part: Path, path: Path) -> None:
    """Moves a file that is complete to its place, in the same folder, so that it lasts."""
    part.chmod(_FILE_MODE)  # some writers make files that only their owner may read
    sync_file(part)
    os.replace(part, path)
    sync_folder(path.parent)


@contextmanager
def part_file(path: Path) -> Iterator[Path]:
    """An empty temporary file beside `path`, which no other process writes to; removed at the end
    of the block if it is still there."""
    part, descriptor = _open_part(path)
    try:
        yield part
    finally:
        try:
            if _is_at(part, descriptor):
                part.unlink()
        finally:
            os.close(descriptor)
    _remove_abandoned(path)


def _part(path: Path, number: int) -> Path:
    return path.with_name(f".{path.name}.{f'{number}.' if number > 1 else ''}part")


def _open_part(path: Path) -> tuple[Path, int]:
    """The first temporary file that no other process has, and its descriptor."""
    for number in count(1):
        part = _part(path, number)
        try:
            if (descriptor := _open_locked(part, os.O_CREAT)) is not None:
                os.ftruncate(descriptor, 0)
                return part, descriptor
        except PermissionError:
            if not part.exists():  # else another user left it behind
                raise
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            part.unlink(missing_ok=True)
            part = _part(path, int.from_bytes(os.urandom(4), "little"))
            return part, os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    raise AssertionError("there is always an unused number")


@contextmanager
def part_folder(path: Path) -> Iterator[Path | None]:
    """An empty temporary folder beside `path`, which no other process writes to; removed at the end
    of the block if it is still there. None if another process has it."""
    part = _part(path, 1)
    part.mkdir(exist_ok=True)
    descriptor = os.open(part, os.O_RDONLY)
    try:
        if not _lock_if_possible(descriptor):
            yield None
            return
        for each in part.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)
    finally:
        os.close(descriptor)


def _lock_if_possible(descriptor: int) -> bool:
    try:
        return lock_descriptor(descriptor)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return True


def _remove_abandoned(path: Path) -> None:
    """Removes the temporary files of processes that are gone."""
    for number in count(2):
        part = _part(path, number)
        if not part.exists():
            return
        with suppress(OSError):
            if (descriptor := _open_locked(part, 0)) is not None:
                part.unlink()
                os.close(descriptor)


def _open_locked(part: Path, flags: int) -> int | None:
    """An open file with a lock; None if another process has it. Raises OSError with one of
    `NO_LOCKS` where there are none."""
    while True:
        descriptor = os.open(part, os.O_RDWR | flags, 0o666)
        try:
            is_locked = lock_descriptor(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        if is_locked and _is_at(part, descriptor):
            return descriptor
        os.close(descriptor)
        if not is_locked:
            return None  # else it was moved or removed just before it was locked


def lock_descriptor(descriptor: int, wait: bool = False) -> bool:
    """Locks an open file until it is closed; returns whether it did. Raises OSError with one of
    `NO_LOCKS` where there are none."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is the one at a path, and at no other."""
    try:
        there, opened = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    if opened.st_nlink > 1:  # left behind by `create_text`: it is in its place already
        path.unlink(missing_ok=True)
        return False
    return (there.st_ino, there.st_dev) == (opened.st_ino, opened.st_dev)
