"""Free memory: of the machine, of control groups of both versions, of the address space."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jukebox_cli.engine import memory

GB = 1 << 30


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 GB free and no control groups."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    write(tmp_path / "proc/meminfo", f"MemTotal: 99 kB\nMemAvailable: {8 * GB // 1024} kB\n")
    write(tmp_path / "proc/self/status", "VmSize:\t 1024 kB\nVmRSS:\t 512 kB\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_group(folder: Path, limit: object, used: int, cached: int = 0) -> None:
    write(folder / "memory.max", f"{limit}\n")
    write(folder / "memory.high", "max\n")
    write(folder / "memory.current", f"{used}\n")
    stat = f"anon 1\ninactive_file {cached // 2}\nactive_file {cached // 2}\n"
    write(folder / "memory.stat", stat)


def test_without_limits_what_the_machine_has_is_free(system: Path) -> None:
    assert memory.free_memory() == 8 * GB
    assert memory.resident_memory() == 512 * 1024
    (system / "proc/meminfo").unlink()
    assert memory.free_memory() is None


def test_the_tightest_group_counts_and_cached_files_make_room(system: Path) -> None:
    write(system / "proc/self/cgroup", "0::/job/step\n")
    make_group(system / "cgroup/job/step", "max", 3 * GB)
    make_group(system / "cgroup/job", 4 * GB, 3 * GB)
    assert memory.free_memory() == 1 * GB
    make_group(system / "cgroup/job", 4 * GB, 3 * GB, cached=2 * GB)
    assert memory.free_memory() == 3 * GB
    write(system / "cgroup/job/step/memory.high", f"{5 * GB // 2}")
    assert memory.free_memory() == 0  # not less


def test_within_a_container_the_root_is_the_own_group(system: Path) -> None:
    write(system / "proc/self/cgroup", "0::/system/container-of-the-host\n")
    make_group(system / "cgroup", 2 * GB, GB)
    assert memory.free_memory() == GB


def test_groups_of_version_1_count(system: Path) -> None:
    write(system / "proc/self/cgroup", "5:cpu:/\n3:memory,cpuset:/job\n1:name=systemd:/x\n")
    job = system / "cgroup/memory/job"
    write(job / "memory.limit_in_bytes", str(3 * GB))
    write(job / "memory.usage_in_bytes", str(2 * GB))
    write(job / "memory.stat", f"total_inactive_file {GB}\ntotal_active_file 0\ncache 7\n")
    assert memory.free_memory() == 2 * GB
    write(job / "memory.limit_in_bytes", str(0x7FFFFFFFFFFFF000))  # none
    assert memory.free_memory() == 8 * GB


def test_a_limit_of_the_address_space_counts() -> None:
    code = """
import resource
from jukebox_cli.engine import memory
limit = memory._status("VmSize") + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(memory.free_memory() <= 64 << 20)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.stdout == b"True\n", result


def test_only_a_gpu_has_device_memory() -> None:
    assert memory.free_device_memory(torch.device("cpu")) is None
