"""The progress of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.run_setup import reopen_job
from jukebox_cli.sampling.run_summary import describe_progress, summarize_run
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.results import Result

SECONDS = 0.05  # 25, 50 and 100 tokens


@pytest.fixture
def run(tiny: Model, tmp_path: Path, jukebox: Callable[..., Result]) -> Path:
    words = ("--model", tiny.path, "--seconds", SECONDS, "--items", 2, "--out", tmp_path / "run")
    assert jukebox("generate", *words).code == 0
    return tmp_path / "run"


def keep(run: Path, tiny: Model, level: int, item: int, count: int) -> None:
    """Keeps the first tokens of an item."""
    tokens = Run(run).read_tokens(level, item)
    assert tokens is not None
    Run(run).write_tokens(level, item, tokens[:count], tiny.config.vqvae)


def test_progress_is_the_last_complete_stage_or_a_percentage(
    run: Path, tiny: Model, registry: Registry
) -> None:
    job = reopen_job(run, registry, None)
    assert describe_progress(job) == "audio"
    Run(run).audio_file(1).unlink()
    assert describe_progress(job) == "tokens"
    assert describe_progress(replace(job, items=[0])) == "audio"
    keep(run, tiny, 0, 1, 80)
    assert describe_progress(job) == "level 0: 90 %"
    for item in (0, 1):
        Run(run).token_file(0, item).unlink()
    assert describe_progress(job) == "level 1"
    keep(run, tiny, 2, 0, 0)
    assert describe_progress(job) == "level 2: 50 %"
    assert describe_progress(replace(job, items=[0])) == "level 2: 0 %"
    assert describe_progress(replace(job, items=[])) == "empty"


def test_a_summary_needs_no_weights(run: Path, registry: Registry) -> None:
    summary = summarize_run(Run(run), registry)
    assert (summary.path, summary.model, summary.items) == (run, "tiny", (0, 1))
    assert summary.seconds == (SECONDS, SECONDS)
    assert summary.progress == "audio"
    assert summary.num_bytes == sum(p.stat().st_size for p in run.rglob("*") if p.is_file())
