"""Fixtures of the sampling tests; modules may have a `job` of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.compute import with_compute_settings
from jukebox_cli.sampling.job import Job
from jukebox_cli.storage.model import Model
from support.jobs import CONFIG, make_job


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Callable[..., Job]:
    """A job of two items; guided at the top level."""
    config = replace(CONFIG, sampling=({}, {}, {"guidance": 2.0}))

    def make(**changes: Any) -> Job:
        job = make_job(tmp_path / "run", tiny, registry, (0, 1), config=config)
        return with_compute_settings(replace(job, **changes), [2, 1, 0])

    return make
