"""What this installation computes with: the lines of `jukebox --version --verbose`."""

from __future__ import annotations

import platform


def describe_installation() -> list[str]:
    """Lines `name: value`: Python, torch, engine on a CPU, threads, GPU."""
    import torch

    from jukebox_cli.engine.loader import available_cores

    capability = torch.backends.cpu.get_cpu_capability()
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return [
        f"python: {python}",
        f"torch: {torch.__version__}, CPU capability {capability}",
        f"engine on a CPU: {_describe_engine()}",
        f"threads: {torch.get_num_threads()} on {available_cores()} cores",
        f"gpu: {_describe_gpu()}",
    ]


def _describe_engine() -> str:
    from jukebox_cli.engine import library

    if reason := library.missing_reason():
        return f"torch ({reason})"
    if not library.has_fast_kernels():
        return "torch (the native engine has no fast kernels for this CPU)"
    return f"native, kernels {library.chosen_kernels()}"


def _describe_gpu() -> str:
    import torch

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return ", ".join(torch.cuda.get_device_name(number) for number in range(count))
    return "Apple (MPS)" if torch.backends.mps.is_available() else "none"
