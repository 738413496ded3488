"""Jobs: counts of tokens, descriptions of items, and events."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.windows import TokenWindow
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from support.jobs import NUM_SAMPLES, SONG, make_job


def test_tokens_are_counted(tiny: Model, registry: Registry, tmp_path: Path) -> None:
    job = make_job(tmp_path, tiny, registry, (0, 1))
    assert [job.num_tokens(level, 0) for level in range(3)] == [400, 200, 100]
    job.run.write_tokens(2, 1, np.zeros(100, np.int64), tiny.config.vqvae)
    job.run.write_tokens(2, 0, np.zeros(30, np.int64), tiny.config.vqvae)
    assert [job.num_sampled_tokens(2, item) for item in (0, 1)] == [30, 100]
    assert [job.num_missing_tokens(2, item) for item in (0, 1)] == [70, 0]
    assert [job.incomplete_items(level) for level in (2, 1)] == [[0], [0, 1]]


def test_an_item_is_described_by_its_last_segment(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = make_job(tmp_path, tiny, registry, (0,))
    assert (job.seed(0), job.song(0), job.num_samples(0)) == (7, SONG, NUM_SAMPLES)
    longer = job.specs[0].extended(2000, seed=8, conditions={}, hop_fraction=(1.0, 1.0, 1.0))
    longer_job = make_job(tmp_path, tiny, registry, (0,), specs={0: longer})
    assert (longer_job.seed(0), longer_job.song(0), longer_job.num_samples(0)) == (8, {}, 2000)
    windows = longer_job.token_windows(2, 0)
    assert windows == [TokenWindow(0, 0, 64), TokenWindow(61, 64, 125)]


def test_an_event_is_a_line_of_the_log(tiny: Model, registry: Registry, tmp_path: Path) -> None:
    job = make_job(tmp_path, tiny, registry, (0,))
    job.log_event("level", level=2, items=[0])
    (line,) = read_jsonl(job.run.log_file)
    assert line.pop("time") > 1e9
    assert line == {"event": "level", "level": 2, "items": [0]}
