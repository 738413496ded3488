"""How many slices there are: as given, or as many as pay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from jukebox_cli.model import devices, loader
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.slice_plans import parse_parallel, with_slice_plans
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import ComputeSettings
from support.jobs import make_job
from support.results import refusal


def test_parallel_is_a_number_or_auto() -> None:
    assert [parse_parallel(text) for text in (None, "1", "12", "auto")] == [None, 1, 12, "auto"]


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "all", ""])
def test_anything_else_is_an_error(text: str) -> None:
    message, hint = refusal(parse_parallel, text)
    assert message == f"--parallel must be 1 or more, or auto, not '{text}'"
    assert hint == "try --parallel auto"


@pytest.mark.parametrize(
    ("device", "engine", "is_large", "count"),
    [
        ("cpu", "native", True, 16),
        ("cpu", "native", False, 1),
        ("cpu", "torch", True, 1),
        ("cuda", "torch", True, 32),
        ("cuda", "torch", False, 32),
    ],
)
def test_auto_takes_as_many_as_pay(
    device: str,
    engine: str,
    is_large: bool,
    count: int,
    tmp_path: Path,
    tiny: Model,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "pick_device", torch.device)
    monkeypatch.setattr(loader, "stored_weights", lambda path: SimpleNamespace(is_large=is_large))
    num_samples = 20_000  # 5000 tokens at level 0
    job = make_job(
        tmp_path, tiny, registry, (0,), num_samples=num_samples, device=device, parallel="auto"
    )
    settings = ComputeSettings(engine, "fp32")
    segment = job.specs[0].segments[0].with_compute_settings(0, settings)
    job = replace(job, specs={0: job.specs[0].with_segment(0, segment)})
    plan = with_slice_plans(job, [2, 0]).specs[0].segments[0].slice_plan(0)
    assert (plan.count if plan else 1) == count
    assert with_slice_plans(job, [2]).specs == job.specs
