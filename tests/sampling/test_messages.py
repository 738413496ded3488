"""Messages between processes: a job is received as it was sent."""

from __future__ import annotations

import pickle
from pathlib import Path

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import no_progress
from jukebox_cli.sampling.messages import LevelTask
from jukebox_cli.storage.model import Model
from support.jobs import make_job


def test_a_job_survives_being_sent(tiny: Model, registry: Registry, tmp_path: Path) -> None:
    def wait() -> None:
        """What a worker waits with."""

    job = make_job(tmp_path, tiny, registry, (0, 2), batch_size=3, precision="fp32")
    task = pickle.loads(pickle.dumps(LevelTask.from_job(job, 1)))
    assert task.level == 1
    expected = make_job(
        tmp_path,
        tiny,
        registry,
        (0, 2),
        batch_size=3,
        precision="fp32",
        progress=no_progress,
        wait_for_upper=wait,
    )
    assert task.to_job(registry, no_progress, wait) == expected
