"""Peak memory of a `jukebox` command, or of importing torch alone, in bytes.

    python benchmarks/peak_memory.py FILE [ARGUMENT...]

Runs `jukebox ARGUMENT...` in this process and writes the figure to FILE. It is a program of its own
because what a process learns of its children's memory includes its own at the time they started.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jukebox_cli.engine.machine import peak_memory


def main() -> None:
    """Run the command and write its peak memory; exits with the command's exit code."""
    file, *arguments = sys.argv[1:]
    try:
        if arguments:
            from jukebox_cli.cli import main as jukebox

            sys.argv[1:] = arguments
            jukebox()
        else:
            import torch  # noqa: F401
    finally:
        Path(file).write_text(str(peak_memory()))


if __name__ == "__main__":
    main()
