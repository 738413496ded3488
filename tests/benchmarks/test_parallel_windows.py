"""benchmarks/parallel_windows.py: both versions of a song are compared at the same places."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import parallel_windows
import pytest
from large_model import make_large_model

from jukebox_cli.sampling.slice_layout import SliceLayout
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import SlicePlan
from support.benchmark_scripts import value_of


def arguments(model: Model, seconds: float) -> argparse.Namespace:
    return argparse.Namespace(
        model=str(model.path),
        preset=None,
        seconds=seconds,
        items=1,
        level=1,
        parallel=2,
        device="cpu",
        engine="auto",
        precision="auto",
        large=False,
    )


def test_the_times_of_a_large_model_are_compared(
    tmp_path: Path,
) -> None:
    model = make_large_model(tmp_path / "large", width=64, depth=3)
    given = arguments(model, 0.3)
    given.large, given.level = True, 0
    rows = parallel_windows.measure(given, tmp_path)
    assert value_of(rows, "slices") == 2
    assert value_of(rows, "speed-up") > 0


def test_both_versions_are_measured(tiny: Model, tmp_path: Path) -> None:
    rows = parallel_windows.measure(arguments(tiny, 0.3), tmp_path)
    assert value_of(rows, "slices") == 2
    for name in ("sequential", "parallel"):
        for place in ("in seams", "after seams", "elsewhere"):
            assert value_of(rows, f"{name}: bits/token {place}") > 0
        assert value_of(rows, f"{name}: spectral jump at seams over elsewhere") > 0
    assert 0 < value_of(rows, "tokens equal in both") < 100


def test_a_song_that_is_too_short_is_an_error(tiny: Model, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="the song is too short for slices"):
        parallel_windows.measure(arguments(tiny, 0.1), tmp_path)


def test_bits_are_averaged_by_place() -> None:
    layout = SliceLayout(SlicePlan(2, 0, 32, 8), 432)
    assert layout.boundary(1) == 232
    bits = np.full(432, 2.0)
    bits[232:240], bits[240:304] = 5.0, 3.0
    rows = parallel_windows.bits_rows("x", {0: bits}, {0: layout})
    assert [(row.value, row.count) for row in rows] == [(5.0, 8), (3.0, 64), (2.0, 360)]
