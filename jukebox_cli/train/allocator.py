"""Settings of the C library's memory allocator for training on a CPU."""

from __future__ import annotations

import ctypes
import sys

# parameters of `mallopt`, from glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4

#: Never use mmap for an allocation, never shrink the heap, and grow it by 64 MiB at a time.
_SETTINGS = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26))


def keep_freed_memory() -> bool:
    """Make the allocator keep freed memory for the next training step.

    By default, glibc maps every large tensor anew and the kernel has to clear its pages each time.
    Keeping the memory makes a training step on a CPU about a tenth faster (measured by
    benchmarks/training_speed.py). The setting lasts until the process ends.

    Returns whether the setting took effect: False on systems without glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # a C library without mallopt, such as musl
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in _SETTINGS)
