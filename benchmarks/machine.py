"""Facts about the machine that figures were measured on."""

from __future__ import annotations

import os
import platform
import sys

import torch

from jukebox_cli import __version__
from jukebox_cli.engine.machine import processor_name

#: The `jukebox` command, run by this Python.
JUKEBOX = (sys.executable, "-c", "from jukebox_cli.cli import main; main()")


def machine_facts() -> dict[str, str]:
    """Hardware, software and the present load, by name."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": processor_name(),
        "cores": f"{len(os.sched_getaffinity(0))}" if hasattr(os, "sched_getaffinity") else "?",
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "load average before": load,
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "torch": f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} threads",
        "jukebox": __version__,
    }
