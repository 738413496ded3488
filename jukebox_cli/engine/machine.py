"""What this machine has and what this process takes: memory, the last-level cache, and the
bandwidth of reading."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from jukebox_cli.engine import library

if TYPE_CHECKING:
    import torch

_PROC = Path("/proc/self")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
#: Taken where the system does not say how large its last-level cache is.
DEFAULT_CACHE_BYTES = 32 << 20
#: The buffer that bandwidth is measured with is so many times larger than the cache.
BUFFER_FACTOR = 4
MIN_BUFFER_BYTES = 256 << 20


def peak_memory() -> int | None:
    """The largest resident memory of this process in bytes, mapped files included, since it began
    or since `reset_peak_memory`; None where the system does not tell."""
    status = _PROC / "status"
    if status.exists():  # ru_maxrss would include the memory of the program before exec
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # on Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reset_peak_memory() -> None:
    """Lets `peak_memory` begin anew, where the system can (Linux)."""
    with suppress(OSError):
        (_PROC / "clear_refs").write_text("5")


def cache_bytes(device: torch.device) -> int:
    """The size of the last-level cache of a device."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    units = {"K": 1 << 10, "M": 1 << 20}
    sizes = [path.read_text().strip() for path in _CACHES.glob("index*/size")]
    found = [int(size[:-1]) * units[size[-1]] for size in sizes if size[-1:] in units]
    return max(found, default=DEFAULT_CACHE_BYTES)


def read_bandwidth(
    device: torch.device, num_threads: int, rounds: int = 12, size: int | None = None
) -> float:
    """Bytes per second that a device reads of a buffer of `size` bytes, by default larger than its
    last-level cache; on a CPU, with so many threads. Of the fastest of a few rounds, because it is
    a limit."""
    import torch

    size = size or max(BUFFER_FACTOR * cache_bytes(device), MIN_BUFFER_BYTES)
    buffer = torch.ones(size // 4, device=device)
    seconds = []
    for _ in range(rounds):
        synchronize(device)
        start = perf_counter()
        _read(buffer, num_threads)
        synchronize(device)
        seconds.append(perf_counter() - start)
    return size / min(seconds)


def _read(buffer: torch.Tensor, num_threads: int) -> None:
    kernels = library.chosen_kernels()
    if buffer.device.type == "cpu" and kernels:
        library.function("read")(kernels.encode(), buffer.data_ptr(), buffer.numel(), num_threads)
    else:
        buffer.sum()


def synchronize(device: torch.device) -> None:
    """Waits until a device has computed what it was given, as a clock must before it is read."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def processor_name() -> str:
    """The processor's name, from the system."""
    import platform

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
