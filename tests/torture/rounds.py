"""Several processes at once on one run, one corpus, or one level of a model: what comes out is what
one process would have made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jukebox_cli.storage.corpus import Corpus
from torture.cases import CORPUS, GENERATE, TRAIN, Case
from torture.client import Ended, Fault, Mode, Server
from torture.folders import contents, differences
from torture.trials import Bench

#: Processes at a time.
COUNTS = (2, 4, 8)
SIX = (*GENERATE[:6], 6, *GENERATE[7:])
AT_ONCE = {
    "one run": Case("one run", SIX),
    "one run, continued": Case(
        "one run, continued", ("continue", "run", "--seconds", 0.05, "-q"), (GENERATE,)
    ),
    "one copy": Case(
        "one copy", ("continue", "run", "--seconds", 0.05, "--out", "more", "-q"), (GENERATE,)
    ),
    "one corpus": Case("one corpus", CORPUS),
    "one level": Case(
        "one level",
        ("train", "prior", "corpus", "--model", "model", "--level", 2, *TRAIN),
        (CORPUS,),
        {"models/untrained": "model"},
    ),
}
#: What a process says that leaves the work to the one that does it.
LEFT_TO_OTHERS = "is being trained by process "


class Round(NamedTuple):
    """Processes that ran at once, and what was wrong."""

    name: str
    processes: int
    problems: list[str]


def rounds(server: Server, place: Path, name: str, number: int) -> Iterator[Round]:
    """`number` rounds of a command, of 2, 4 and 8 processes in turn: two of each number."""
    with Bench(server, place, AT_ONCE[name]) as bench:
        expected = _results(bench, name)
        for each in range(number):
            yield _round(bench, name, each, expected)


def _results(bench: Bench, name: str) -> list[dict[str, Any]]:
    """What the folder may hold in the end. Each process that comes after another was done makes a
    run longer once more."""
    bench.reset()
    results = []
    for _ in range(max(COUNTS) if name == "one run, continued" else 1):
        assert bench.run().code == 0
        results.append(_comparable(bench.folder))
    return results


def _round(bench: Bench, name: str, number: int, expected: Sequence[dict[str, Any]]) -> Round:
    """In every second round one of the processes is killed, and the command run once more."""
    bench.reset()
    processes = COUNTS[number // 2 % len(COUNTS)]
    faults = [Fault()] * processes
    if number % 2:
        call = 1 + (37 * number) % bench.undisturbed.count
        bench.reset()
        faults[0] = Fault.at(Mode.KILL_BEFORE, call)
    ended = bench.server.run_at_once(bench.folder, [bench.case.words] * processes, faults)
    if any(each.was_killed for each in ended):
        ended.append(bench.run())
    problems = [f"code {each.code}: {each.err[-300:]}" for each in ended if not _is_fine(each)]
    found = _comparable(bench.folder)
    if found not in expected:
        possible = [differences(found, each) for each in expected]
        problems.extend(sorted(possible, key=len)[0])
    return Round(name, processes, problems)


def _is_fine(ended: Ended) -> bool:
    is_left = ended.code == 2 and LEFT_TO_OTHERS in ended.err
    return ended.code == 0 or ended.was_killed or is_left


def _comparable(folder: Path) -> dict[str, Any]:
    """The content of a folder. The songs of a corpus may be in any order, so their tokens are
    compared by the checksums in their lines."""
    found = contents(folder)
    songs = found.get("corpus/songs.jsonl")
    if not isinstance(songs, list):
        return found
    Corpus(folder / "corpus").validate()
    own = [{k: v for k, v in song.items() if k not in ("start", "checksum")} for song in songs]
    bins = {name: "tokens" for name in found if name.startswith("corpus/level-")}
    return {**found, **bins, "corpus/songs.jsonl": sorted(own, key=lambda song: song["name"])}
