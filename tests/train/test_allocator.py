"""Memory that training keeps: asked of a process of its own, since it is for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
from jukebox_cli.train.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(4_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
print(keep_freed_memory())
faults()
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is that of Linux")
def test_what_a_step_frees_the_next_one_finds() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    arranged, counts = done.stdout.split("\n", 1)
    if arranged == "False":
        pytest.skip("this C library has no mallopt")
    before, after = map(int, counts.split())
    assert before > 1000
    assert after < before / 10


def test_elsewhere_nothing_is_arranged(monkeypatch: pytest.MonkeyPatch) -> None:
    from jukebox_cli.train.allocator import keep_freed_memory

    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
