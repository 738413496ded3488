"""Measuring the levels of a job: which windows are sampled, and within what memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jukebox_cli.sampling import measure
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.measure import MeasuredLevel, measure_job


def test_levels_are_measured_with_each_batch_size(job: Callable[..., Job]) -> None:
    stages: list[str] = []
    found = measure_job(job(), [2, 1, 0], [1, 3], 0.0, on_stage=stages.append)
    assert stages == ["level 2", "level 1", "level 0", "decode 0"]
    assert [level.level for level in found.levels] == [2, 1, 0]
    for level in found.levels:
        assert [speed.batch for speed in level.speeds] == [1, 3]
        assert all(min(s.conditions, s.prefill, s.position) > 0 for s in level.speeds)
    assert found.decode is not None
    assert found.decode.sample > 0
    assert not job().run.path.exists()


def test_a_batch_without_memory_is_halved(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    level = MeasuredLevel(job(device="cpu"), 2)
    monkeypatch.setattr(measure, "free_memory", lambda: 5 * level.item_bytes())
    assert level.measure(16, 0.0).batch == 4
    monkeypatch.setattr(measure, "free_memory", lambda: 0)
    assert level.measure(16, 0.0).batch == 1


def test_guided_items_have_two_rows(job: Callable[..., Job]) -> None:
    guided, plain = MeasuredLevel(job(), 2), MeasuredLevel(job(), 1)
    assert guided.item_bytes() == 2 * plain.item_bytes()  # of the same shape
    assert (len(guided.conditions.parts), len(plain.conditions.parts)) == (2, 1)
