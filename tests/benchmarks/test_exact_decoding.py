"""benchmarks/exact_decoding.py: windows are sampled again with several positions per pass."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import exact_decoding

from jukebox_cli.storage.model import Model
from support.benchmark_scripts import value_of
from support.engines import needs_native_engine

pytestmark = needs_native_engine


def test_tokens_per_pass_are_counted(tiny: Model, tmp_path: Path) -> None:
    arguments = argparse.Namespace(model=str(tiny.path), preset=None, seconds=0.2)
    job = exact_decoding.make_song(arguments, tmp_path / "run")
    rows = exact_decoding.measure_level(job, 0, 1)
    for name in ("as sampled", "temperature 1"):
        assert 1 <= value_of(rows, f"level 0, {name}, 4 positions: tokens per pass") <= 4
        assert value_of(rows, f"level 0, {name}, 4 positions: speed over one position") > 0


def test_costs_of_passes_are_measured() -> None:
    small = replace(exact_decoding.LARGE, context_length=128, rows=4, width=32, depth=3)
    rows = exact_decoding.measure_large(small, 1, 1)
    assert value_of(rows, "upsampler of 0.82 G, fp16: a pass over 16 positions over one") > 0
