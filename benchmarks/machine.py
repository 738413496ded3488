"""The facts of the machine that a figure means nothing without."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from jukebox_cli import __version__


def facts() -> dict[str, str]:
    """What the machine is and how busy it is, by name."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"
    return {
        "processor": _processor(),
        "cores": f"{len(os.sched_getaffinity(0))}" if hasattr(os, "sched_getaffinity") else "?",
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "load before": f"{load} (of other things, in processes)",
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "torch": f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} threads",
        "jukebox": __version__,
    }


def _processor() -> str:
    """Its name as Linux knows it, or what Python says."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
