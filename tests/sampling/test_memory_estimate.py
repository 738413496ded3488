"""Memory is estimated from sizes: weights by engine and precision, rows, tokens, decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch

from jukebox_cli.engine.footprint import row_bytes
from jukebox_cli.sampling import memory_estimate
from jukebox_cli.sampling.compute import with_settings
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.level_thread import LevelThread
from jukebox_cli.sampling.memory_estimate import (
    FIRST_USE_BYTES,
    LevelMemory,
    MemoryEstimate,
    estimate_memory,
    level_memory,
)

CPU = torch.device("cpu")


def settled(job: Job, levels: Sequence[int] = (2, 1, 0), **changes: object) -> Job:
    return with_settings(replace(job, **changes), levels)  # type: ignore[arg-type]


def test_a_level_takes_weights_or_rows_while_it_is_sampled() -> None:
    level = LevelMemory(100, 30, 10, 5, 1, num_windows=2)
    assert level.total(rows=1, items=1) == 130
    assert level.total(rows=4, items=2) == 147


@pytest.mark.parametrize(("engine", "precision"), [("torch", "fp32"), ("torch", "fp16")])
def test_weights_follow_the_precision(engine: str, precision: str, job: Callable[..., Job]) -> None:
    full = level_memory(settled(job(), engine=engine, precision="fp32"), 0, CPU)
    found = level_memory(settled(job(), engine=engine, precision=precision), 0, CPU)
    linear = 4 * (32 * 3 * 16 + 16 * 32 + 2 * 32 * 32)
    saved = {"fp32": 0, "fp16": 2}[precision]
    assert abs(full.weights - found.weights - saved * linear) <= 4 * 4 * 32 * 64
    assert found.loading == 0


def test_a_row_takes_what_its_positions_write(job: Callable[..., Job]) -> None:
    config = job().model.config.priors[0]
    few, all_of_them = row_bytes(config, 4, 2), row_bytes(config, 4)
    assert few < row_bytes(config, 4, 20) <= all_of_them == row_bytes(config, 4, 10**6)
    assert 2 * row_bytes(config, 2) == all_of_them


def test_slices_are_rows_and_guidance_doubles_them(job: Callable[..., Job]) -> None:
    plain = settled(job(), engine="torch", parallel=3)
    estimate = estimate_memory(plain, [1], decode=False)
    level = estimate.levels[1]
    slices = 3
    assert estimate._level(1, batch=16) >= level.weights + level.row * slices
    spec = plain.specs[0]
    segment = replace(spec.segments[0], sampling=tuple({"guidance": 3.0} for _ in range(3)))
    guided = replace(plain, specs=dict.fromkeys(plain.items, spec.with_segment(0, segment)))
    assert level_memory(guided, 1, CPU).row == 2 * level.row


def make_estimate(job: Job, **changes: object) -> MemoryEstimate:
    levels = {n: LevelMemory(100, 0, 10, 0, 0, num_windows=3) for n in (2, 1, 0)}
    return replace(MemoryEstimate(job, 1000, levels, 5, False), **changes)  # type: ignore[arg-type]


def test_levels_count_together_if_they_are_sampled_together(job: Callable[..., Job]) -> None:
    plain = job(batch_size=1)
    assert make_estimate(plain).peak(1) == 1000 + 110
    assert make_estimate(plain, decoding=500).peak(1) == 1500
    assert make_estimate(plain, is_parallel=True).peak(1) == 1000 + 330
    assert make_estimate(plain, is_parallel=True, num_processes=2).peak(1) == 3000 + 330
    short = LevelMemory(100, 0, 900, 0, 0, num_windows=1)
    levels = {2: short, 1: LevelMemory(100, 0, 10, 0, 0, num_windows=3)}
    assert make_estimate(plain, levels=levels, is_parallel=True).peak(1) == 1000 + 1000


def test_an_estimate_knows_how_levels_are_sampled(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = settled(job())
    for worker, is_parallel, processes in (
        (None, False, 0),
        (LevelThread, True, 0),
        (LevelProcess, True, 2),
    ):
        monkeypatch.setattr(memory_estimate, "choose_worker", lambda *_, chosen=worker: chosen)
        found = estimate_memory(plain, [2, 1, 0], decode=True)
        assert (found.is_parallel, found.num_processes) == (is_parallel, processes)
        assert found.decoding > 0
        assert found.base > FIRST_USE_BYTES
        assert found.peak(2) >= found.peak(1) > found.base
        assert 0 < found.needed(1) < found.peak(1)
