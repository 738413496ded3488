"""Facts about the machine, and the bytes of a prior."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jukebox_cli.engine import library, machine

CPU = torch.device("cpu")


def test_the_machine_has_memory_and_a_cache() -> None:
    assert machine.cache_bytes(CPU) >= 1 << 18
    assert machine.processor_name()
    if Path("/proc/self/status").exists():
        assert (machine.peak_memory() or 0) > 1 << 20


def test_where_the_system_says_nothing_the_cache_is_assumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "_CACHES", tmp_path)
    assert machine.cache_bytes(CPU) == machine.DEFAULT_CACHE_BYTES
    (tmp_path / "index3").mkdir()
    (tmp_path / "index3" / "size").write_text("48M\n")
    assert machine.cache_bytes(CPU) == 48 << 20


def test_a_peak_begins_anew_where_the_system_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine, "_PROC", tmp_path)
    machine.reset_peak_memory()
    assert (tmp_path / "clear_refs").read_text() == "5"
    (tmp_path / "status").write_text("Name:\tjukebox\nVmHWM:\t   12 kB\nVmRSS:\t   8 kB\n")
    assert machine.peak_memory() == 12 * 1024
    monkeypatch.setattr(machine, "_PROC", tmp_path / "none")
    machine.reset_peak_memory()  # does nothing
    assert (machine.peak_memory() or 1) > 0


@pytest.mark.parametrize("has_kernels", [True, False])
def test_reading_has_a_bandwidth(has_kernels: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MIN_BUFFER_BYTES", 1 << 12)
    monkeypatch.setattr(machine, "cache_bytes", lambda device: 1 << 10)
    if not has_kernels:
        monkeypatch.setattr(library, "chosen_kernels", lambda: None)
    assert machine.read_bandwidth(CPU, 1, rounds=1) > 0
