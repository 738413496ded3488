"""Wrong files against every reader of the program: none may crash, hang, or take much memory, and
no changed token, weight or checkpoint may be taken for the whole one.

    python benchmarks/fuzz.py --inputs 20000 --out benchmarks/results/fuzz.md

Each reader runs in a process of its own, so that its peak memory is known, and an interpreter that
crashes is counted. `--reader NAME --first N --inputs 1` runs one input again, with its traceback.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from fuzz_inputs import input_readers
from fuzz_own_files import own_readers
from fuzz_reader import Reader
from mutations import mutate

from jukebox_cli.interfaces.contract import PluginError
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry, load_installed

#: Seconds of computing after which a reader hangs.
HANG_SECONDS = 5.0

#: Bytes of a reader's process, with torch and the plugins in it.
MAX_BYTES = 2 << 30

#: What becomes of an input: read to the same result, read, refused with an InputError.
GOOD = ("same", "read", "refused")
#: Read to another result though that must not be, another exception, no end.
BAD = ("changed", "unexpected", "hang")


def readers(registry: Registry) -> dict[str, Reader]:
    """All readers by name."""
    return {**own_readers(registry), **input_readers(registry)}


class Hang(BaseException):
    """A reader takes too long."""


@dataclass
class Outcome:
    """What became of the inputs of one reader."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)  # the first ones, with the inputs' numbers
    peak_mb: float = 0.0


def fuzz(name: str, reader: Reader, first: int, count: int, folder: Path) -> Outcome:
    """Inputs `first` to `first + count` of a reader."""
    outcome = Outcome()
    whole = reader.make(folder)
    contents = [path.read_bytes() for path in whole]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reader.read(folder)
    for number in range(first, first + count):
        rng = random.Random(f"{name} {number}")
        place = rng.randrange(len(whole))
        data = mutate(contents[place], contents, rng)
        path = whole[place]
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        kind, detail = _try(reader, folder, expected)
        outcome.counts[kind] += 1
        if kind in BAD and len(outcome.problems) < 5:
            outcome.problems.append(f"input {number}: {kind}: {detail}")
        path.unlink(missing_ok=True)
        path.write_bytes(contents[place])
    outcome.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return outcome


def _try(reader: Reader, folder: Path, expected: object) -> tuple[str, str]:
    """What becomes of the files in a folder, with the details of a problem."""
    try:
        with _time_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = reader.read(folder)
    except InputError as error:
        if isinstance(error, PluginError):  # an error of a plugin that is none of the input's
            return "unexpected", traceback.format_exc(limit=-6)
        return "refused", ""
    except Hang:
        return "hang", traceback.format_exc(limit=-4)
    except Exception:
        return "unexpected", traceback.format_exc(limit=-6)
    if found == expected:
        return "same", ""
    return ("changed", f"{found!r:.300}") if reader.exact else ("read", "")


@contextmanager
def _time_limit() -> Iterator[None]:
    """Raises Hang in the block after so much time of this process."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def run_here(name: str, first: int, count: int) -> Outcome:
    """One reader in this process."""
    reader = readers(load_installed(lambda message: None))[name]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        return fuzz(name, reader, first, count, folder)
    finally:
        shutil.rmtree(folder)


def _limit_memory() -> None:
    hard_limit = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES, hard_limit))


def run_apart(name: str, count: int) -> Outcome:
    """One reader in a process of its own, which may not take more memory than `MAX_BYTES`."""
    words = ["--reader", name, "--inputs", str(count), "--json"]
    done = subprocess.run(
        [sys.executable, __file__, *words],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=_limit_memory,
    )
    if done.returncode:
        problem = f"the interpreter ended with {done.returncode}"
        return Outcome(Counter(unexpected=1), [problem])
    data = json.loads(done.stdout)
    return Outcome(Counter(data["counts"]), data["problems"], data["peak_mb"])


def table(outcomes: Mapping[str, Outcome]) -> str:
    """The outcomes in Markdown."""
    lines = [
        "| reader | inputs | read, same result | read, other result | refused | changed, but read "
        "| unexpected errors | hangs over 5 s | peak memory (MB) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, outcome in outcomes.items():
        kinds = ("same", "read", "refused", "changed", "unexpected", "hang")
        counts = " | ".join(f"{outcome.counts[kind]:,}" for kind in kinds)
        total = outcome.counts.total()
        lines.append(f"| {name} | {total:,} | {counts} | {outcome.peak_mb:,.0f} |")
    return "\n".join(lines) + "\n"


PAGE = """# Wrong files

Made by `benchmarks/fuzz.py --inputs {count}`: whole files with one to three mutations each (bits
and bytes, cut-off ends, blocks deleted, repeated and moved, splices, numbers and words replaced).
"Changed, but read" is for files with a checksum: another token, weight, checkpoint or setting than
that of the whole file was accepted.

{table}"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=20_000, help="of each reader")
    parser.add_argument("--reader", help="one reader only, in this process")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--json", action="store_true", help="print what --reader finds as JSON")
    parser.add_argument("--out", type=Path, help="file to write the table to")
    args = parser.parse_args(arguments)
    if args.reader:
        outcome = run_here(args.reader, args.first, args.inputs)
        data = {"counts": outcome.counts, "problems": outcome.problems, "peak_mb": outcome.peak_mb}
        print(json.dumps(data) if args.json else table({args.reader: outcome}))
        if not args.json:
            print("\n".join(outcome.problems))
        return 0
    outcomes = {}
    for name in readers(load_installed(lambda message: None)):
        outcomes[name] = run_apart(name, args.inputs)
        print(name, dict(outcomes[name].counts), *outcomes[name].problems, sep="\n  ", flush=True)
    page = PAGE.format(count=args.inputs, table=table(outcomes))
    print(page)
    if args.out:
        args.out.write_text(page, encoding="utf-8")
    return int(any(outcome.counts[kind] for outcome in outcomes.values() for kind in BAD))


if __name__ == "__main__":
    sys.exit(main())
