"""The disk that a job takes is known before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from jukebox_cli.interfaces.errors import FULL_DISK_HINT
from jukebox_cli.sampling.disk_space import (
    disk_bytes,
    missing_disk_bytes,
    require_disk,
    require_disk_space,
)
from jukebox_cli.sampling.job import Job
from support.results import refusal


def test_a_disk_that_is_too_small_is_refused(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = job()
    needed = missing_disk_bytes(plain, "audio")
    assert 0 < needed < disk_bytes(plain, "audio")
    assert missing_disk_bytes(plain, "top") < needed
    require_disk(plain, "audio")
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    message, hint = refusal(require_disk, plain, "audio")
    assert message == f"{plain.run.path} needs {needed / 1000:.0f} kB of disk, 1 kB are free"
    assert hint == FULL_DISK_HINT
    require_disk_space(plain.run.path / "not/there", 1000)
