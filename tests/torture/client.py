"""Commands in processes of the server, which are killed or see errors at a call of their choice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from support.paths import ROOT

Words = Sequence[object]


class Mode(IntEnum):
    """What happens at a call that changes a file, or reads one; as in shim.c."""

    COUNT = 0
    KILL_BEFORE = 1
    KILL_WITHIN = 2  # a half is written, if it is a call that writes
    FAIL = 3
    SHORT = 4  # a half is written, and the call returns that
    # the calls that read are counted instead, also in the folders beside the command's:
    COUNT_READS = 5
    FAIL_READS = 6
    SHORT_READS = 7  # a half is read, and the call returns that


@dataclass(frozen=True)
class Fault:
    """What goes wrong, from the `first` call on to the `last`, counted from 1."""

    mode: Mode = Mode.COUNT
    first: int = 0
    last: int = 0
    error: int = 0  # errno

    @classmethod
    def at(cls, mode: Mode, call: int, error: int = 0) -> Fault:
        """One that happens once."""
        return cls(mode, call, call, error)


@dataclass(frozen=True)
class Ended:
    """What became of a command. `code` is negative if a signal ended it.

    count, trace: of the calls that change files.
    """

    code: int | str
    count: int
    trace: list[str]
    out: str
    err: str

    @property
    def was_killed(self) -> bool:
        return self.code == -9


def build_shim(folder: Path) -> Path | None:
    """The compiled shim; None without a C compiler, or where there is no LD_PRELOAD."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    target = folder / "shim.so"
    source = Path(__file__).with_name("shim.c")
    words = [compiler, "-O1", "-shared", "-fPIC", "-o", str(target), str(source), "-ldl"]
    done = subprocess.run(words, capture_output=True, check=False)
    return target if done.returncode == 0 else None


class Server:
    """A server process (see `torture.server`), and a place where its commands print to."""

    def __init__(self, shim: Path, place: Path) -> None:
        self.place = place
        environment = {
            **{n: v for n, v in os.environ.items() if not n.startswith("JUKEBOX_")},
            "LD_PRELOAD": str(shim),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "torture.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=place,
        )

    def run(self, folder: Path, words: Words, fault: Fault | None = None, **more: Any) -> Ended:
        """Runs one command in `folder`; what it changes beneath it is counted."""
        return self.run_at_once(folder, [words], [fault or Fault()], **more)[0]

    def run_at_once(
        self,
        folder: Path,
        commands: Sequence[Words],
        faults: Sequence[Fault] = (),
        environment: Mapping[str, str] | None = None,
    ) -> list[Ended]:
        """Runs commands at the same time."""
        each_fault = faults or [Fault()] * len(commands)
        jobs = [
            {
                "words": [str(word) for word in words],
                "folder": str(folder),
                "watched": str(self.place if fault.mode >= Mode.COUNT_READS else folder),
                "output": str(self.place / f"output-{number}"),
                "environment": dict(environment or {}),
                **{"mode": int(fault.mode), "first": fault.first, "last": fault.last},
                "error": fault.error,
            }
            for number, (words, fault) in enumerate(zip(commands, each_fault, strict=True))
        ]
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(jobs), file=self.process.stdin, flush=True)
        replies = json.loads(self.process.stdout.readline())
        return [self._ended(job["output"], reply) for job, reply in zip(jobs, replies, strict=True)]

    def _ended(self, output: object, reply: Mapping[str, Any]) -> Ended:
        out, err = (Path(f"{output}.{kind}").read_text(errors="replace") for kind in ("out", "err"))
        return Ended(out=out, err=err, **reply)

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
