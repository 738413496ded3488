"""Levels side by side: each in a process that follows the one above it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import ItemSpecs, Run, RunConfig
from support.run_files import all_tokens, tokens

SAMPLES = 1590
CONFIG = RunConfig(sample_rate=8000, seed=7, hop_fraction=(0.5, 0.75, 0.3), sampling=({}, {}, {}))
JobMaker = Callable[..., Job]


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> JobMaker:
    """A job on a run in a folder of the test's."""
    asked = ItemSpecs(SAMPLES, {"artist": "Bo Marsh"}, {})

    def make(name: str, **changes: object) -> Job:
        made = Job(Run(tmp_path / name), tiny, registry, (0, 1), CONFIG, asked, device="cpu")
        return replace(made, **changes)  # type: ignore[arg-type]

    return make


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two cores, where even short songs are drawn side by side."""
    monkeypatch.setattr(pipeline, "ENOUGH", 1)
    monkeypatch.setattr(pipeline, "cores", lambda: 2)


def count_to(counts: dict[str, int]) -> Callable[[str, int, int], Advance]:
    """A bar that adds up what it is told, by stage."""

    def begin(what: str, done: int, total: int) -> Advance:
        counts[what] = done

        def tick(count: int) -> None:
            counts[what] += count

        return tick

    return begin


def test_levels_side_by_side_draw_what_they_draw_alone(
    job: JobMaker, roomy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[str, int] = {}
    together = job("together", bar=count_to(counts))
    assert pipeline.parallel_levels_pay(together, [2, 1, 0])
    pipeline.complete_run(together, "tokens")
    assert counts == {"level 2": 200, "level 1": 400, "level 0": 800}
    monkeypatch.setattr(pipeline, "ENOUGH", 10_000)
    alone = job("alone")
    pipeline.complete_run(alone, "tokens")
    assert all_tokens(together.run.path) == all_tokens(alone.run.path)


def test_what_is_there_already_is_kept(job: JobMaker, roomy: None) -> None:
    whole, part = job("whole"), job("part", items=(1,))
    pipeline.complete_run(whole, "tokens")
    sample_level(part, 2)
    before = all_tokens(part.run.path)
    counts: dict[str, int] = {}
    pipeline.complete_run(replace(part, bar=count_to(counts)), "tokens")
    assert counts == {"level 1": 200, "level 0": 400}
    assert all_tokens(part.run.path).items() > before.items()
    assert all_tokens(part.run.path) == {
        key: song for key, song in all_tokens(whole.run.path).items() if key[1] == 1
    }


@pytest.mark.parametrize(
    ("lacking", "changes"),
    [
        ((0,), {}),
        ((2, 1, 0), {"cores": 1}),
        ((2, 1, 0), {"ENOUGH": 801}),
        ((2, 1, 0), {"_parameters": 50_000_000}),
    ],
)
def test_when_it_does_not_pay(
    lacking: Sequence[int],
    changes: dict[str, int],
    job: JobMaker,
    roomy: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in changes.items():
        made = value if name == "ENOUGH" else lambda *_, value=value: value
        monkeypatch.setattr(pipeline, name, made)
    assert not pipeline.parallel_levels_pay(job("run"), lacking)


def test_cores_may_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    there = pipeline.available_cores()
    assert there >= 1
    for said, cores in (("1", 1), ("1000", there), ("", there), ("some", there)):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert pipeline.available_cores() == cores


def test_what_goes_wrong_below_is_told_as_if_it_went_wrong_here(
    job: JobMaker, roomy: None, tiny: Model, tmp_path: Path
) -> None:
    model = Model(tmp_path / "model")
    model.path.mkdir()
    for path in tiny.path.iterdir():
        if path.is_file():
            (model.path / path.name).write_bytes(path.read_bytes())
    save_file({"other": np.zeros(1, np.float32)}, str(model.weights("prior-1")))
    mine = job("run", model=model)
    with pytest.raises(InputError, match="the weights of model 'model' do not fit"):
        pipeline.complete_run(mine, "tokens")
    assert [mine.num_sampled_tokens(2, item) for item in mine.items] == [
        100,
        100,
    ]  # nothing is lost


def test_a_process_that_ends_at_once_is_told(
    job: JobMaker, roomy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "WORKER", "no_such_module")
    with pytest.raises(RuntimeError, match="drawing level 1 ended with exit code 1"):
        pipeline.complete_run(job("run"), "tokens")


CODE = """
import signal, sys
from jukebox_cli.sampling import pipeline
from jukebox_cli.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
pipeline.ENOUGH, pipeline.cores = 1, lambda: 2
main()
"""
WORDS = ("--seconds", 1.5, "--seed", 5, "--until", "tokens")


def begun(model: Model, out: Path) -> subprocess.Popen[str]:
    words = ["generate", "--model", model.path, "--out", out, *WORDS]
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def made(model: Model, out: Path) -> None:
    process = begun(model, out)
    _, said = process.communicate()
    assert process.returncode == 0, said


@pytest.fixture(scope="module")
def whole(tiny: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing stopped."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    made(tiny, run)
    return run


def children(process: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in listed.stdout.split()]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_signal_ends_all_processes_and_the_same_command_goes_on(
    number: signal.Signals, code: int, whole: Path, tiny: Model, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = begun(tiny, out)
    while len(tokens(out, 0)) < 100:
        assert process.poll() is None
    others = [pid for pid in children(process.pid) if Path(f"/proc/{pid}").exists()]
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == code, said
    assert len(others) == 2
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() and not _is_dead(pid) for pid in others):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not list(out.rglob("*.part"))
    made(tiny, out)
    assert all_tokens(out) == all_tokens(whole)


def _is_dead(pid: int) -> bool:
    """Whether a process has ended that nobody has asked about yet."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True
