"""Computes with each set of kernels of an installed package, in the standard library alone.

A program: prints where the package is and the names of the kernels. tests/test_packaging.py and
cibuildwheel run it after installing a wheel, without the package's dependencies.
"""

import ctypes

import jukebox_cli
from jukebox_cli.engine import library


def exponentials(kernels: str) -> bytes:
    x = (ctypes.c_float * 16)(*(number / 2 - 4 for number in range(16)))
    y = (ctypes.c_float * 16)()
    assert library.function("exp")(kernels.encode(), x, y, len(x))
    return bytes(y)


if __name__ == "__main__":
    assert library.missing_reason() is None, library.missing_reason()
    assert len({exponentials(kernels) for kernels in library.kernel_names()}) == 1
    print(jukebox_cli.__file__, *library.kernel_names())
