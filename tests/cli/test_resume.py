"""`jukebox resume`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.command_line import STOPS, Jukebox, stdout_of, stop_at
from support.run_files import all_tokens, contents


def same_runs(one: Path, other: Path) -> None:
    assert all_tokens(one) == all_tokens(other)
    for item in Run(other).items():
        audio = [Run(path).audio_file(item).read_bytes() for path in (one, other)]
        assert audio[0] == audio[1]
        assert Run(one).item(item) == Run(other).item(item)


@pytest.mark.parametrize("stop", STOPS)
def test_generate_is_finished(
    stop: tuple[object, str, int],
    generate: Callable[..., str],
    jukebox: Jukebox,
    tmp_path: Path,
    tiny: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generate("--out", tmp_path / "whole", "--items", 2)
    stop_at(monkeypatch, *stop)
    words = ("--model", tiny.path, "--seconds", 0.05, "--items", 2, "--out", tmp_path / "run")
    assert jukebox("generate", *words).code == 130
    assert stdout_of(jukebox("resume", tmp_path / "run", "-q")) == f"{tmp_path}/run\n"
    same_runs(tmp_path / "run", tmp_path / "whole")
    assert not list((tmp_path / "run" / "intents").iterdir())


def test_continue_is_finished_and_not_repeated(
    run: Path, generate: Callable[..., str], jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run.with_name("whole")
    generate("--out", whole)
    stdout_of(jukebox("continue", whole, "--seconds", 0.05))
    for again in (("resume", run), ("continue", run, "--seconds", 0.05)):
        stop_at(monkeypatch, *STOPS[1])
        if again[0] == "resume":
            assert jukebox("continue", run, "--seconds", 0.05).code == 130
            stdout_of(jukebox(*again))
            same_runs(run, whole)
            before = contents(run)
            stdout_of(jukebox("resume", run))
            assert contents(run) == before
        else:
            assert jukebox(*again).code == 130
            stdout_of(jukebox(*again))
            assert Run(run).item(0).num_samples == 1200


def test_resume_goes_as_far_as_the_command_did(
    tmp_path: Path, tiny: Model, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--model", tiny.path, "--seconds", 0.05, "--out", tmp_path / "run")
    stop_at(monkeypatch, *STOPS[0][:2], 0)
    assert jukebox("generate", *words, "--until", "top").code == 130
    stdout_of(jukebox("resume", tmp_path / "run"))
    assert Run(tmp_path / "run").levels_with_tokens(0) == [2]


def test_a_folder_that_is_no_run_can_not_be_resumed(tmp_path: Path, jukebox: Jukebox) -> None:
    result = jukebox("resume", tmp_path)
    hint = "make one with `jukebox generate --out`"
    error = f"error: {tmp_path} is not a run: it has no run.yaml\n\nhint: {hint}\n"
    assert (result.code, result.err) == (2, error)
