"""A short form of `make torture`: commands are killed, see errors of the disk, and run at once."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jukebox_cli.registry import Registry
from torture.cases import CASES, Case, write_place
from torture.client import Fault, Mode, Server, build_shim
from torture.rounds import AT_ONCE, rounds
from torture.trials import Bench, double_kills, faults, kills, read_faults

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A folder with models, sounds and checkpoints."""
    place = tmp_path_factory.mktemp("torture")
    write_place(place, registry)
    return place


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    """What runs commands with the shim."""
    if (shim := build_shim(place)) is None:
        pytest.skip("needs Linux and a C compiler")
    server = Server(shim, place)
    yield server
    server.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_that_was_killed_is_finished(case: Case, place: Path, server: Server) -> None:
    with Bench(server, place, case) as bench:
        trials = [*kills(bench, 4), *double_kills(bench, 1)]
    assert [trial for trial in trials if trial.problems] == []
    assert any(trial.was_reached for trial in trials)


@pytest.mark.parametrize("case", [c for c in CASES if c.again is None], ids=lambda case: case.name)
def test_an_error_of_the_disk_loses_nothing(case: Case, place: Path, server: Server) -> None:
    with Bench(server, place, case) as bench:
        trials = list(faults(bench, 2, [errno.ENOSPC, errno.EIO]))
    assert [trial for trial in trials if trial.problems] == []


@pytest.mark.parametrize("case", [c for c in CASES if c.again is None], ids=lambda case: case.name)
def test_an_error_while_reading_makes_nothing_wrong(
    case: Case, place: Path, server: Server
) -> None:
    with Bench(server, place, case) as bench:
        trials = list(read_faults(bench, 2, [errno.EIO, errno.EMFILE]))
    assert [trial for trial in trials if trial.problems] == []
    # threads that wait for each other's files read more often at one time than at another
    assert any(trial.was_reached for trial in trials)


@pytest.mark.parametrize("name", AT_ONCE)
def test_processes_at_once_lose_and_mix_nothing(name: str, place: Path, server: Server) -> None:
    assert [each for each in rounds(server, place, name, 3) if each.problems] == []


def test_what_is_moved_is_synced_before_and_its_folder_after(place: Path, server: Server) -> None:
    for case in CASES:
        if case.again is None:
            with Bench(server, place, case) as bench:
                trace = bench.undisturbed.trace
            moves = [n for n, call in enumerate(trace) if call.startswith("rename")]
            assert moves
            for number in moves:
                path = trace[number].removeprefix("rename ")
                before, after = calls_before(trace[:number], path), trace[number + 1 :]
                assert before[-1].startswith("sync "), path
                folder = path.rpartition("/")[0]
                assert next(call for call in after if call.split(" ", 1)[1] in (folder, path)) == (
                    f"sync {folder}"
                )


def calls_before(trace: Sequence[str], path: str) -> list[str]:
    """The calls that concern what is to be moved to a path: its temporary file, or its temporary
    folder and what is in it. Other threads write other files meanwhile."""
    folder, _, name = path.rpartition("/")
    part = re.compile(
        rf"{re.escape(folder)}/(\.{re.escape(name)}\.(\d+\.)?part(/.*)?|train/change-[^/]*/{re.escape(name)})"
    )
    return [call for call in trace if part.fullmatch(call.split(" ", 1)[1])]


def test_the_shim_sees_what_commands_do(place: Path, server: Server) -> None:
    case = CASES[0]
    with Bench(server, place, case) as bench:
        trace = bench.undisturbed.trace
        assert trace[-1].startswith("unlink /run/intents/generate-")
        written = {call.split()[1] for call in trace if call.startswith("write")}
        assert "/run/audio/.item-00.wav.part" in written
        number = next(n for n, call in enumerate(trace, 1) if call == "rename /run/run.yaml")
        bench.reset()
        assert bench.run(Fault.at(Mode.KILL_BEFORE, number)).was_killed
        assert not (bench.folder / "run/run.yaml").exists()
        assert (bench.folder / "run/.run.yaml.part").exists()
        bench.reset()
        failed = bench.run(Fault.at(Mode.FAIL, number, errno.ENOSPC))
        hint = "free some space and run the same command again to resume"
        error = "error: can't write run/run.yaml: No space left on device"
        assert (failed.code, failed.err) == (2, f"{error}\n\nhint: {hint}\n")
