"""Rows of a batch: what they know at first, and what is written of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.model.devices import pick_device
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import sampler as sampler_module
from jukebox_cli.sampling.rows import Row, make_row, sample_rows
from jukebox_cli.sampling.sampler import LevelSampler
from jukebox_cli.sampling.windows import TokenWindow
from jukebox_cli.storage.model import Model
from support.command_line import stop_at
from support.jobs import make_job


def test_a_row_begins_with_what_is_known(tmp_path: Path, tiny: Model, registry: Registry) -> None:
    part = make_job(tmp_path, tiny, registry, (3,)).segment_windows(2, 3)[0]
    partial = make_row(part, 3, np.array([5, 6]), 4, lambda *_: None, first=20).partial
    assert (partial.item, partial.seed, partial.num_done, partial.first) == (3, 7, 2, 20)
    assert partial.tokens.tolist() == [5, 6, 0, 0]
    assert make_row(part, 3, None, 4, lambda *_: None).partial.num_done == 0


def test_rows_are_written_where_they_have_changed(
    tmp_path: Path, tiny: Model, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(tmp_path, tiny, registry, (0, 1))
    level = LevelSampler(2, load_prior(tiny, 2, registry, pick_device("cpu")), [])
    written: list[tuple[int, int, int | None]] = []
    published: list[np.ndarray] = []

    def row(item: int, known: np.ndarray | None) -> Row:
        def write(tokens: np.ndarray, vocab_size: int | None) -> None:
            written.append((item, len(tokens), vocab_size))

        publish = published.append if item == 0 else None
        part = job.segment_windows(2, item)[0]
        return make_row(part, item, known, 12, write, publish=publish)

    rows = [row(0, None), row(1, np.zeros(12, np.int64))]
    windows = [TokenWindow(0, 0, 8), TokenWindow(4, 8, 12)]
    stop_at(monkeypatch, sampler_module, "draw_tokens", 10)
    with pytest.raises(KeyboardInterrupt):
        sample_rows(job, level, rows, windows, lambda count: None)
    assert written == [(0, 8, None), (0, 10, None)]
    sample_rows(job, level, rows, windows, lambda count: None)
    assert written[2:] == [(0, 12, None)]
    assert [len(tokens) for tokens in published] == [8, 12]
