"""Facts about the machine that figures were measured on."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import torch

from jukebox_cli import __version__

#: The `jukebox` command, run by this Python.
JUKEBOX = (sys.executable, "-c", "from jukebox_cli.cli import main; main()")


def machine_facts() -> dict[str, str]:
    """Hardware, software and the present load, by name."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": _processor(),
        "cores": f"{len(os.sched_getaffinity(0))}" if hasattr(os, "sched_getaffinity") else "?",
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "load average before": load,
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "torch": f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} threads",
        "jukebox": __version__,
    }


def _processor() -> str:
    """The processor's name from /proc/cpuinfo, or else from Python."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
