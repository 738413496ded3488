"""The stages of a job."""

from __future__ import annotations

from pathlib import Path

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.pipeline import complete_run
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.sampling.stages import Stage, job_stages
from jukebox_cli.storage.model import Model
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
