"""The stages of a job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling import sampler
from jukebox_cli.sampling.pipeline import complete_run
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.sampling.stages import Stage, job_stages, num_missing_tokens
from jukebox_cli.storage.model import Model
from support.command_line import stop_at
from support.jobs import make_job


def test_stages_are_what_a_job_lacks(tiny: Model, registry: Registry, tmp_path: Path) -> None:
    job = make_job(tmp_path / "run", tiny, registry, (0, 1))
    top, rest = Stage("level 2", 200), [Stage("level 1", 400), Stage("level 0", 800)]
    decode = Stage("decode 0", 2 * 1590, 30 * 8000)
    assert job_stages(job, "top") == [top]
    assert job_stages(job, "tokens") == [top, *rest]
    assert job_stages(job, "audio") == [top, *rest, decode]
    create_run(job)
    complete_run(job, "top")
    assert job_stages(job, "audio") == [*rest, decode]
    complete_run(job)
    assert job_stages(job, "audio") == []


def test_half_sampled_slices_count(
    tiny: Model, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path / "run", tiny, registry, (0,), engine="torch", parallel=2)
    create_run(job)
    complete_run(job, "top")
    stop_at(monkeypatch, sampler, "draw_tokens", 32)
    with pytest.raises(KeyboardInterrupt):
        complete_run(job, "tokens")
    job = replace(job, specs=job.run.read_items((0,)))
    # slices of 116 tokens and a seam of 4, which come to 200 tokens
    assert num_missing_tokens(job, 1) == 200 - 200 * 64 // 236
    assert num_missing_tokens(job, 0) == 400
