"""A process that has imported everything and forks one for each command, with the shim loaded.

`python -m torture.server` reads a request from each line of its standard input, a JSON list of
processes to run at once, and writes a JSON list of what became of them. Importing torch takes
seconds, forking a process that has done so milliseconds.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import pkgutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

#: Bytes of `struct shared` in shim.c, and of its counters before the trace.
SHARED_BYTES, COUNTERS = 1 << 20, 16
#: Seconds after which a process is taken to hang.
TIMEOUT = 120
HANGS = "hangs"
#: Modules that import Triton, which comes with torch where that computes with CUDA.
WITH_TRITON = ("fused_ops", "triton_kernels")


def import_all() -> None:
    """Imports what commands import when they run."""
    for name in (
        "numpy",
        "torch",
        "soundfile",
        "soxr",
        "scipy.signal",
        "filelock",
        "rich.progress",
        "torch._dynamo",
    ):
        importlib.import_module(name)
    for package in ("jukebox_cli", "jukebox_plugins"):
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.endswith(("__main__", "worker", "_kernels", *WITH_TRITON)):
                importlib.import_module(module.name)


def start(job: dict[str, Any], memory: mmap.mmap) -> int:
    """Forks a process that runs a command; returns its id."""
    if process := os.fork():
        return process
    code = 1
    try:
        _enter(job)
        _arm(job, memory)
        code = _run_command(job["words"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _enter(job: dict[str, Any]) -> None:
    """Goes to the command's folder, with its environment and files for what it prints."""
    os.chdir(job["folder"])
    os.environ.update(job.get("environment", {}))
    for descriptor, name in (
        (0, os.devnull),
        (1, f"{job['output']}.out"),
        (2, f"{job['output']}.err"),
    ):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")


def _arm(job: dict[str, Any], memory: mmap.mmap) -> None:
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    arm = ctypes.CDLL(os.environ["LD_PRELOAD"]).torture_arm
    arm(
        ctypes.c_void_p(address),
        os.fsencode(job["watched"]),
        *(job["mode"], ctypes.c_long(job["first"]), ctypes.c_long(job["last"]), job["error"]),
    )


def _run_command(words: list[str]) -> int:
    from jukebox_cli.cli import main

    sys.argv = ["jukebox", *words]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def finish(process: int, memory: mmap.mmap, deadline: float) -> dict[str, Any]:
    """Waits for a process. Its exit code (negative: a signal), and the calls that were counted."""
    while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return {"code": HANGS, "count": 0, "trace": []}
        time.sleep(0.002)
    count = int.from_bytes(memory[:8], "little")
    size = int.from_bytes(memory[8:COUNTERS], "little")
    trace = memory[COUNTERS : COUNTERS + size].decode(errors="replace").splitlines()
    return {"code": os.waitstatus_to_exitcode(ended[1]), "count": count, "trace": trace}


def main() -> None:
    """Serves requests until the standard input ends."""
    import_all()
    replies = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        started = []
        for job in json.loads(line):
            memory = mmap.mmap(-1, SHARED_BYTES)
            started.append((start(job, memory), memory))
        deadline = time.monotonic() + TIMEOUT
        results = [finish(process, memory, deadline) for process, memory in started]
        print(json.dumps(results), file=replies, flush=True)


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
