"""Which files were found whole, so that large ones are read through once and not at every start.

Remembered in the user's cache folder, by path, size, times and inode. Where that can't be written,
files are verified each time.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

#: A file that changed so recently is not remembered: another change might leave its times the same.
SETTLED_NS = 2_000_000_000


def cache_folder() -> Path:
    """The user's cache folder of this program."""
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder) / "jukebox"
    if sys.platform == "win32" and (folder := os.environ.get("LOCALAPPDATA")):
        return Path(folder) / "jukebox" / "cache"
    home = Path(os.path.expanduser("~"))
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "jukebox"


def is_verified(*paths: Path) -> bool:
    """Whether these files were found whole together, and have not changed since."""
    try:
        return _record(paths).read_text(encoding="utf-8") == _stamps(paths)
    except (OSError, ValueError):
        return False


def remember_verified(*paths: Path) -> None:
    """Remembers that these files were found whole together. A function that verifies them must get
    their state before with `is_settled`."""
    record = _record(paths)
    part = record.with_name(f"{record.name}.{os.urandom(4).hex()}.part")
    with suppress(OSError, ValueError):
        record.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(_stamps(paths), encoding="utf-8")
            os.replace(part, record)
        finally:
            part.unlink(missing_ok=True)


def is_settled(*paths: Path) -> bool:
    """Whether no file was changed just now, so that a change from here on shows in its times."""
    now = time.time_ns()
    return all(path.stat().st_mtime_ns < now - SETTLED_NS for path in paths)


def _record(paths: tuple[Path, ...]) -> Path:
    """The file that remembers these files."""
    name = hashlib.sha256("\0".join(map(os.path.abspath, paths)).encode()).hexdigest()
    return cache_folder() / "verified" / name[:32]


def _stamps(paths: tuple[Path, ...]) -> str:
    found = [path.stat() for path in paths]
    lines = [f"{s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {s.st_ino}\n" for s in found]
    return "".join(lines)
