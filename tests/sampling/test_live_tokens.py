"""Tokens wait for those that need them, and the other way round."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.live_tokens import LiveTokens, SamplingStopped
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.jobs import make_job


def test_a_wait_ends_when_enough_is_published(tmp_path: Path) -> None:
    live, found = LiveTokens(Run(tmp_path)), []
    waiting = Thread(target=lambda: found.append(live.wait_for(1, 0, 3).tolist()))
    waiting.start()
    live.publish(1, 0, np.array([5, 6]))
    live.publish(0, 0, np.array([1, 2, 3]))  # of another level
    live.publish(1, 0, np.array([5, 6, 7, 8]))
    waiting.join()
    assert found == [[5, 6, 7, 8]]


def test_what_is_on_disk_counts_until_something_is_published(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = make_job(tmp_path, tiny, registry, (0,))
    job.run.write_tokens(2, 0, np.arange(4), tiny.config.vqvae)
    live = LiveTokens(job.run)
    assert live.wait_for(2, 0, 4).tolist() == [0, 1, 2, 3]
    live.publish(2, 0, np.arange(6))
    assert live.wait_for(2, 0, 4).tolist() == [0, 1, 2, 3, 4, 5]


def test_a_stop_ends_waits_only_for_what_is_not_there(tmp_path: Path) -> None:
    live = LiveTokens(Run(tmp_path))
    live.publish(0, 0, np.arange(2))
    live.stop()
    assert len(live.wait_for(0, 0, 2)) == 2
    with pytest.raises(SamplingStopped):
        live.wait_for(0, 0, 3)
