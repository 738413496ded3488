"""What folders hold, in a form in which the same result is the same whatever happened before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: What differs between two runs of a command that does the same.
TIMES = ("time", "seconds")
#: Events of a run's log about work that may be done in several goes.
PROGRESS_EVENTS = ("level", "sampled", "decoded", "aligned")


def contents(folder: Path) -> dict[str, Any]:
    """The content of each file beneath a folder: JSON as its meaning, logs without times, and
    other files as a hash. Lock files don't count."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = {str(path.relative_to(folder)): _content(path) for path in files if not _is_lock(path)}
    folders = sorted(path for path in folder.rglob("*") if path.is_dir())
    return found | {f"{path.relative_to(folder)}/": "folder" for path in folders}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """What is wrong in a folder's content, a line for each file."""
    lines = [f"{name} is missing" for name in expected if name not in found]
    lines += [f"{name} is left over" for name in found if name not in expected]
    both = [name for name in expected if name in found]
    return lines + [f"{name} differs" for name in both if found[name] != expected[name]]


def _is_lock(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix in (".lock", ".holder")


def _content(path: Path) -> Any:
    readers: dict[str, Callable[[str], Any]] = {".json": json.loads, ".jsonl": _log}
    if path.suffix in readers:
        try:
            return readers[path.suffix](path.read_text(encoding="utf-8"))
        except ValueError as error:
            return f"damaged: {error}"
    return hashlib.blake2b(path.read_bytes()).hexdigest()


def _log(text: str) -> list[dict[str, Any]]:
    """The rows of a log that say what was done, without times. Readers ignore a last line that was
    cut off, and who writes the next one removes it."""
    lines = text.splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    done = [row for row in rows if row.get("event") not in PROGRESS_EVENTS]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in done]
