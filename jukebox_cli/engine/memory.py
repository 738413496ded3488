"""How much memory is free: of the machine, and of what limits this process, such as a container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
#: Limits of version 1 above this, in bytes, are none.
NO_LIMIT = 1 << 60


def free_memory() -> int | None:
    """Bytes that this process can allocate without swapping, by the tightest limit there is: of the
    machine, of its control groups, of its address space. None where the system tells none."""
    limits = [_free_of_machine(), *_free_of_groups(), _free_address_space()]
    return min((max(0, each) for each in limits if each is not None), default=None)


def free_device_memory(device: torch.device) -> int | None:
    """Bytes that can be allocated on a GPU; None for other devices."""
    if device.type != "cuda":
        return None
    import torch

    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0] + unused)


def resident_memory() -> int:
    """Bytes of this process in memory, mapped files included; 0 where the system does not tell."""
    return _status("VmRSS") or 0


def _status(key: str) -> int | None:
    """A size in /proc/self/status, in bytes."""
    return _kilobytes(PROC / "self/status", key)


def _kilobytes(path: Path, key: str) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in path.read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return None


def _free_of_machine() -> int | None:
    return _kilobytes(PROC / "meminfo", "MemAvailable")


def _free_address_space() -> int | None:
    try:
        import resource
    except ImportError:  # on Windows
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    used = _status("VmSize")
    return None if limit == resource.RLIM_INFINITY or used is None else limit - used


def _free_of_groups() -> Iterator[int]:
    """What is free in each control group that this process is in, of version 1 and 2."""
    with suppress(OSError):
        for line in (PROC / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield from _free_of_group(CGROUPS, path, ("memory.max", "memory.high"))
            elif "memory" in controllers.split(","):
                yield from _free_of_group(CGROUPS / "memory", path, ("memory.limit_in_bytes",))


def _free_of_group(root: Path, path: str, limits: tuple[str, ...]) -> Iterator[int]:
    """What is free in a group and those that it is in. Within a container the path is often that of
    the host, and the container's own group is the root."""
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        if folder.is_relative_to(root):
            used = _used_in_group(folder)
            for name in limits:
                limit = _number(folder / name)
                if limit is not None and used is not None and limit < NO_LIMIT:
                    yield limit - used


def _used_in_group(folder: Path) -> int | None:
    """Bytes that a group uses, without the cache of files, which makes room."""
    names = ("memory.current", "memory.usage_in_bytes")
    used = next((n for name in names if (n := _number(folder / name)) is not None), None)
    if used is None:
        return None
    cached = 0
    with suppress(OSError, ValueError):
        rows = [line.split() for line in (folder / "memory.stat").read_text().splitlines()]
        stat = {row[0]: int(row[1]) for row in rows}
        for name in ("inactive_file", "active_file"):
            cached += stat.get(f"total_{name}", stat.get(name, 0))
    return max(0, used - cached)


def _number(path: Path) -> int | None:
    """The number in a file; None if there is none, as in one that says `max`."""
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return None
