"""`make torture`: kills, errors of the disk, and processes at once, with a table by command."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jukebox_cli.registry import load_installed
from support.paths import ROOT
from torture.cases import CASES, write_place
from torture.client import Server, build_shim
from torture.rounds import AT_ONCE, Round, rounds
from torture.trials import Bench, Trial, double_kills, faults, kills, read_faults

RESULTS = ROOT / "benchmarks" / "results" / "torture.md"
#: Full disk, disk error, too many open files, file too large.
ERRORS = (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EFBIG)
#: Disk error, too many open files.
READ_ERRORS = (errno.EIO, errno.EMFILE)
HEADER = """# Kills, errors of the disk, processes at once

Written by `make torture`, with small models.

* *calls*: those that change a file (opening to write, writing, syncing, moving, linking, deleting,
  making folders, truncating). A library that is loaded before the C library counts them.
* *kills*: the process is killed before one of them, or in the middle of writing; then the same
  command, or `jukebox resume`, is run again.
* *twice*: that command is killed too, before it is run a third time.
* *errors*: from a call on, all fail with ENOSPC, EIO, EMFILE or EFBIG, or one writes a half. The
  command must end with one line and exit code 2, or not mind; then it is run again without errors.
* *reading*: a call that opens a file to read, or reads, fails with EIO or EMFILE, once or from then
  on, or one or all give a half. The command must end as with *errors*.
* *different*: results that are not those of an undisturbed run, or other ends than these.

| command | calls | kills | different | twice | different | errors | different | reading \
| different |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""


@dataclass
class Count:
    """How many trials there were, and those that went wrong."""

    total: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, trials: Iterable[Trial]) -> None:
        for trial in trials:
            self.total += trial.was_reached
            if trial.problems:
                fault = f"{trial.fault.mode.name} {trial.fault.error} at {trial.call}"
                self.wrong.append(f"{name}: {fault}: {'; '.join(trial.problems)[:400]}")
                print(f"  {self.wrong[-1]}", file=sys.stderr, flush=True)

    @property
    def cells(self) -> str:
        return f"{self.total} | {len(self.wrong)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs everything, or the commands that are named; returns 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("names", nargs="*", help="commands; all by default")
    parser.add_argument("--kills", type=int, default=40, help="calls to kill each command at")
    parser.add_argument("--errors", type=int, default=8, help="calls with errors, of each command")
    parser.add_argument("--rounds", type=int, default=50, help="rounds of processes at once")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        place = Path(name)
        shim = build_shim(place)
        if shim is None:
            print("make torture needs Linux and a C compiler", file=sys.stderr)
            return 1
        write_place(place, load_installed(print))
        server = Server(shim, place)
        started = time.monotonic()
        text, wrong = _run(server, place, options)
        server.close()
    minutes = (time.monotonic() - started) / 60
    if not options.names:
        RESULTS.write_text(f"{text}\n{_footer(minutes)}", encoding="utf-8")
    print(text)
    return int(bool(wrong))


def _run(server: Server, place: Path, options: argparse.Namespace) -> tuple[str, list[str]]:
    lines, wrong = [HEADER.rstrip()], list[str]()
    sums = [Count() for _ in range(4)]
    for case in CASES:
        if options.names and case.name not in options.names:
            continue
        counts = [Count() for _ in range(4)]
        with Bench(server, place, case) as bench:
            calls = bench.undisturbed.count
            counts[0].add(case.name, kills(bench, options.kills))
            counts[1].add(case.name, double_kills(bench, options.kills // 4))
            if case.again is None:
                counts[2].add(case.name, faults(bench, options.errors, ERRORS))
                counts[3].add(case.name, read_faults(bench, options.errors // 2, READ_ERRORS))
        lines.append(f"| {case.name} | {calls} | {' | '.join(each.cells for each in counts)} |")
        print(lines[-1], file=sys.stderr, flush=True)
        for whole, each in zip(sums, counts, strict=True):
            whole.total += each.total
            whole.wrong += each.wrong
    lines.append(f"| all | | {' | '.join(each.cells for each in sums)} |")
    wrong += [line for each in sums for line in each.wrong]
    if not options.names:
        lines += _rounds(server, place, options.rounds, wrong)
    return "\n".join(lines) + "\n", wrong


def _rounds(server: Server, place: Path, number: int, wrong: list[str]) -> list[str]:
    lines = ["", "| 2, 4 and 8 processes on | rounds | lost, doubled or mixed |", "|---|--:|--:|"]
    for name in AT_ONCE:
        done: list[Round] = list(rounds(server, place, name, number))
        problems = [f"{name}: {each.problems}" for each in done if each.problems]
        lines.append(f"| {name} | {len(done)} | {len(problems)} |")
        print(lines[-1], *problems, sep="\n", file=sys.stderr, flush=True)
        wrong += problems
    lines += ["", "In every second round one of the processes is killed."]
    return lines


def _footer(minutes: float) -> str:
    return f"{minutes:.0f} minutes on {len(os.sched_getaffinity(0))} cores.\n"


if __name__ == "__main__":
    sys.exit(main())
