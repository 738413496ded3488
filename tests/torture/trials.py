"""Trials of a command: it is killed, or sees an error, at a call that changes a file; then it is
run again, and the result compared with that of an undisturbed run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from torture.cases import Case
from torture.client import Ended, Fault, Mode, Server
from torture.folders import contents, differences

#: Where no call comes after.
ALWAYS = 1 << 40


@dataclass(frozen=True)
class Trial:
    """What went wrong, if anything, after a fault at a call.

    call: what the fault happened at, such as `rename /run/run.yaml`.
    """

    case: str
    fault: Fault
    call: str
    problems: list[str]
    was_reached: bool


class Bench:
    """A case with its folders: as it begins, as it ends undisturbed, and where it is tried."""

    def __init__(self, server: Server, place: Path, case: Case) -> None:
        self.server, self.place, self.case = server, place, case
        self.folder = place / "work"
        self._start = place / "start"

    def __enter__(self) -> Bench:
        for folder in (self.folder, self._start):
            shutil.rmtree(folder, ignore_errors=True)
        self.case.prepare(self.server, self.place, self.folder)
        shutil.copytree(self.folder, self._start, symlinks=True)
        _ = self.expected  # now, while the folder is what the undisturbed command left
        return self

    def __exit__(self, *_: object) -> None:
        for folder in (self.folder, self._start):
            shutil.rmtree(folder, ignore_errors=True)

    def reset(self) -> None:
        """Makes the folder what it is before the command."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._start, self.folder, symlinks=True)

    @cached_property
    def undisturbed(self) -> Ended:
        """The command without any fault, which must succeed."""
        self.reset()
        ended = self.run()
        assert ended.code == 0, f"{self.case.name}: {ended.err}"
        return ended

    @cached_property
    def expected(self) -> dict[str, Any]:
        """What the folder holds afterwards."""
        _ = self.undisturbed
        return contents(self.folder)

    def run(self, fault: Fault | None = None) -> Ended:
        return self.server.run(
            self.folder, self.case.words, fault, environment=self.case.environment
        )

    def run_again(self, fault: Fault | None = None) -> Ended:
        words = self.case.again or self.case.words
        return self.server.run(self.folder, words, fault, environment=self.case.environment)

    def call(self, number: int, ended: Ended) -> str:
        return ended.trace[number - 1] if number <= len(ended.trace) else "after the last call"

    def kill(self, fault: Fault, second: Fault | None = None) -> Trial:
        """The command is killed, and once more when it is run again if there is a `second`."""
        self.reset()
        killed = self.run(fault)
        problems = [] if killed.code in (0, -9) else [f"code {killed.code}: {killed.err}"]
        last = killed
        if second and killed.was_killed and not self._is_new():
            last = self.run_again(second)
        problems += self._finish(last)
        return self._trial(fault, killed, problems, killed.was_killed)

    def fail(self, fault: Fault) -> Trial:
        """A call fails: an error in one line, and nothing is lost; or it does no harm."""
        self.reset()
        failed = self.run(fault)
        problems = []
        if failed.code not in (0, 2):
            problems.append(f"code {failed.code}: {failed.err[-500:]}")
        if "report it" in failed.err or "Traceback" in failed.err:
            problems.append(failed.err[-500:])
        if failed.code != 0:
            problems += self._finish(failed)
        elif wrong := differences(contents(self.folder), self.expected):
            # what could not be looked at once more is looked at by the next command
            is_read = fault.mode >= Mode.COUNT_READS
            problems += self._finish_again() if is_read else wrong
        return self._trial(fault, failed, problems, failed.count >= fault.first)

    @cached_property
    def num_reads(self) -> int:
        """Calls that read while the command is undisturbed."""
        self.reset()
        return self.run(Fault(Mode.COUNT_READS)).count

    def _finish(self, ended: Ended) -> list[str]:
        """Runs the command again, unless it was complete; returns what is wrong then."""
        is_complete = self.case.is_final and contents(self.folder) == self.expected
        if ended.code != 0 and not is_complete:
            again = self.run() if self._is_new() else self.run_again()
            if again.code != 0:
                return [f"again: code {again.code}: {again.err[-500:]}"]
        return differences(contents(self.folder), self.expected)

    def _finish_again(self) -> list[str]:
        again = self.run_again()
        failure = [f"again: code {again.code}: {again.err[-500:]}"] if again.code else []
        return failure + differences(contents(self.folder), self.expected)

    def _is_new(self) -> bool:
        """Whether nothing is begun that another command could finish."""
        if self.case.again is None:
            return False
        run = self.folder / str(self.case.again[1])
        return not any((run / "intents").glob("*.json"))

    def _trial(self, fault: Fault, ended: Ended, problems: list[str], reached: bool) -> Trial:
        call = self.call(fault.first, ended)
        return Trial(self.case.name, fault, call, problems, reached)


def evenly(count: int, total: int) -> list[int]:
    """Up to `count` numbers of 1 to `total`, evenly spread; all if there are no more."""
    if total <= count:
        return list(range(1, total + 1))
    return sorted({1 + round(number * (total - 1) / (count - 1)) for number in range(count)})


def kills(bench: Bench, count: int) -> Iterator[Trial]:
    """Kills before calls, and within those that write."""
    calls = bench.undisturbed.trace
    for number in evenly(count, bench.undisturbed.count):
        yield bench.kill(Fault.at(Mode.KILL_BEFORE, number))
        if calls[number - 1].startswith("write"):
            yield bench.kill(Fault.at(Mode.KILL_WITHIN, number))


def double_kills(bench: Bench, count: int) -> Iterator[Trial]:
    """Kills at random calls, and at random ones of the command that was to finish it."""
    random = Random(bench.case.name)
    for _ in range(count):
        first, second = (1 + random.randrange(bench.undisturbed.count) for _ in range(2))
        faults = [Fault.at(Mode.KILL_BEFORE, call) for call in (first, second)]
        yield bench.kill(*faults)


def faults(bench: Bench, count: int, errors: Sequence[int]) -> Iterator[Trial]:
    """Calls that fail once, or from then on, with each of some errors, and short writes."""
    for number in evenly(count, bench.undisturbed.count):
        for error in errors:
            yield bench.fail(Fault(Mode.FAIL, number, ALWAYS, error))
        yield bench.fail(Fault.at(Mode.SHORT, number))


def read_faults(bench: Bench, count: int, errors: Sequence[int]) -> Iterator[Trial]:
    """Calls that read and fail once, or from then on, with each of some errors, and short reads."""
    for number in evenly(count, bench.num_reads):
        for error in errors:
            yield bench.fail(Fault(Mode.FAIL_READS, number, number, error))
            yield bench.fail(Fault(Mode.FAIL_READS, number, ALWAYS, error))
        yield bench.fail(Fault.at(Mode.SHORT_READS, number))
    yield bench.fail(Fault(Mode.SHORT_READS, 1, ALWAYS))
