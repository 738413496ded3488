"""Allocator settings. They last until a process ends, so each is tested in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jukebox_cli.train.allocator import keep_freed_memory

PROGRAM = """
import resource
import torch
from jukebox_cli.train.allocator import keep_freed_memory

def count_page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(4_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = count_page_faults()
print(keep_freed_memory())
count_page_faults()
print(before, count_page_faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc")
def test_freed_memory_is_reused_without_page_faults() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    took_effect, counts = done.stdout.split("\n", 1)
    if took_effect == "False":
        pytest.skip("this C library has no mallopt")
    before, after = map(int, counts.split())
    assert before > 1000
    assert after < before / 10


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
