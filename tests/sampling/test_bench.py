"""A bench of a job: levels, batch sizes, and the share of the bandwidth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling import bench
from jukebox_cli.sampling.bench import bench_job
from jukebox_cli.storage.model import Model
from support.jobs import make_job


def test_a_bench_has_a_speed_of_each_batch_and_shares(
    tiny: Model, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "BENCH_SECONDS", 0.0)
    job = make_job(tmp_path / "run", tiny, registry, (0,))
    found = bench_job(job, 2, perf_counter())
    level = found.measured.measurement.levels[0]
    assert (level.level, found.batch_sizes) == (2, [1, 2])
    assert [found.speed(level, size) for size in (1, 2)] == list(level.speeds)
    assert found.speed(level, 16) is None
    assert found.read_share(level) is None
    small_cache = replace(found, cache_bytes=0, read_bandwidths={1: 1e9})
    expected = level.weight_bytes / level.speeds[0].position / 1e9
    assert small_cache.read_share(level) == pytest.approx(expected)
    assert not job.run.path.exists()
