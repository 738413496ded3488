"""Runs the command line, or nothing but its imports, and tells the most memory it took, in bytes.

    python benchmarks/peak.py FILE [WORD...]

By itself, since what a process is told of its children's memory counts what it had itself when
they began.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak() -> int:
    """Bytes of this process, mapped files included, at the most."""
    status = Path("/proc/self/status")
    if status.exists():  # not ru_maxrss: that counts what was there before this program was
        (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """The command; its exit code is that of the command line."""
    file, *words = sys.argv[1:]
    try:
        if words:
            from jukebox_cli.cli import main as jukebox

            sys.argv[1:] = words
            jukebox()
        else:
            import torch  # noqa: F401
    finally:
        Path(file).write_text(str(peak()))


if __name__ == "__main__":
    main()
