"""How the C library handles the memory that training takes and gives back at every step."""

from __future__ import annotations

import ctypes
import sys

#: Of glibc's malloc.h: parameters of `mallopt`, and what training sets them to.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


_SETTINGS = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26))


def keep_freed_memory() -> bool:
    """Keeps what is freed for the next step, instead of giving it back to the system; whether it
    could be arranged, which is where the C library is glibc.

    By default glibc maps every large tensor anew, and the system has to clear its pages each time:
    without that, a step on a CPU takes a tenth less time (benchmarks/training.py).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(mallopt(parameter, value) == 1 for parameter, value in _SETTINGS)
