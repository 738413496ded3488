"""The compiled kernels of the native engine, as functions of a C library.

`native/` holds the source. It is an extension module, so that installing the package compiles it
and wheels carry it, but its functions are called through ctypes, which releases the global
interpreter lock meanwhile.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_void_p
from functools import cache
from importlib import import_module
from typing import Any

from jukebox_cli.interfaces.errors import InputError

#: Chooses the kernels by name, e.g. to compare them: one of `kernel_names`.
KERNELS_VARIABLE = "JUKEBOX_KERNELS"
_MODULE = "jukebox_cli.engine._kernels"


class Config(ctypes.Structure):
    """`Config` of native/model.h."""

    _fields_ = (
        *((name, c_int32) for name in ("width", "depth", "heads", "head_dim", "mlp_width")),
        *((name, c_int32) for name in ("codebook_size", "rows", "columns", "prefix_length")),
        *((name, c_int32) for name in ("prefix_span", "tied", "final_norm")),
        ("residual_scale", c_float),
    )


class Source(ctypes.Structure):
    """`Source` of native/model.h: a matrix, element (i, o) at `i * in_stride + o * out_stride`."""

    _fields_ = (
        ("data", c_void_p),
        ("is_fp16", c_int32),
        ("in_stride", c_int64),
        ("out_stride", c_int64),
    )


class Sampling(ctypes.Structure):
    """`Sampling` of native/model.h."""

    _fields_ = (
        *((name, c_int32) for name in ("guided", "greedy", "top_k")),
        *((name, c_float) for name in ("temperature", "top_p", "min_p")),
        ("guidance", c_double),
    )


#: Kinds of layers, as numbered in native/convolution_stream.h.
CONVOLUTION_KINDS = ("plain", "transposed", "residual", "to_one")


class ConvolutionShape(ctypes.Structure):
    """`ConvolutionShape` of native/convolution_stream.h."""

    _fields_ = (
        *((name, c_int32) for name in ("kind", "in_channels", "out_channels", "hidden_channels")),
        *((name, c_int32) for name in ("kernel", "stride", "dilation", "padding")),
        ("residual_scale", c_float),
    )


_FLOATS, _IDS = c_void_p, c_void_p  # pointers into tensors
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "kernel_names": (None, (c_char_p, c_int32)),
    "model_new": (c_void_p, (POINTER(Config), POINTER(c_int32), c_int32, c_char_p, c_int32)),
    "model_free": (None, (c_void_p,)),
    "model_set_threads": (c_int32, (c_void_p, c_int32)),
    "model_set_linear": (
        c_int32,
        (c_void_p, c_int32, c_char_p, c_int32, c_int32, POINTER(Source), _FLOATS),
    ),
    "model_set_norm": (c_int32, (c_void_p, c_int32, c_char_p, _FLOATS, _FLOATS)),
    "model_set_embeddings": (c_int32, (c_void_p, _FLOATS, _FLOATS)),
    "window_new": (
        c_void_p,
        (
            *(c_void_p, c_int32, _FLOATS, _FLOATS, c_int32, _FLOATS, _FLOATS),
            *(c_int32, _FLOATS, c_void_p, _FLOATS),
        ),
    ),
    "window_free": (None, (c_void_p,)),
    "window_prefill": (None, (c_void_p, _IDS, c_int64, c_int32, c_int32)),
    "window_step": (None, (c_void_p, _IDS, c_int64, c_int32, _FLOATS)),
    "window_sample": (
        c_int32,
        (
            *(c_void_p, _IDS, c_int64, c_int32, c_int32),
            *(c_void_p, c_void_p, c_int64, POINTER(Sampling)),
        ),
    ),
    "window_sample_ahead": (
        c_int32,
        (
            *(c_void_p, _IDS, c_int64, c_int32, c_int32, c_int64),
            *(c_void_p, POINTER(Sampling), c_int32, POINTER(c_int64)),
        ),
    ),
    "network_new": (c_void_p, (c_char_p, c_int32, c_int32, c_int32, _FLOATS, _FLOATS)),
    "network_free": (None, (c_void_p,)),
    "network_add": (
        c_int32,
        (c_void_p, POINTER(ConvolutionShape), _FLOATS, _FLOATS, _FLOATS, _FLOATS),
    ),
    "stream_new": (c_void_p, (c_void_p, c_int32, c_int32)),
    "stream_free": (None, (c_void_p,)),
    "stream_feed": (c_int64, (c_void_p, c_void_p, c_int64, c_void_p)),
    "stream_finish": (c_int64, (c_void_p, c_void_p)),
    "exp": (c_int32, (c_char_p, _FLOATS, _FLOATS, c_int64)),
    "read": (c_double, (c_char_p, _FLOATS, c_int64, c_int32)),
}


def missing_reason() -> str | None:
    """Why the library is not there, as a clause; None if it is."""
    try:
        import_module(_MODULE)
    except ModuleNotFoundError:
        return "jukebox-cli was installed without a C++ compiler"
    except ImportError as error:
        return f"its library can't be loaded: {error}"
    return None


@cache
def load() -> ctypes.CDLL | None:
    """The library; None if the package was installed without a compiler."""
    if missing_reason():
        return None
    _kernels = import_module(_MODULE)
    assert _kernels.__file__
    library = ctypes.CDLL(_kernels.__file__)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, f"jukebox_{name}")
        function.restype, function.argtypes = result, arguments
    return library


def function(name: str) -> Callable[..., Any]:
    """A function of the library, by its name without `jukebox_`. It must be installed."""
    library = load()
    assert library is not None, "the native engine is not installed"
    result: Callable[..., Any] = getattr(library, f"jukebox_{name}")
    return result


def require_memory(result: int | None) -> int:
    """The result of a function that allocates; MemoryError if it could not."""
    if not result:
        raise MemoryError("the native engine has no memory left")
    return result


def allocate(name: str, *arguments: object) -> int:
    """Calls a function that allocates. MemoryError if it could not."""
    return require_memory(function(name)(*arguments))


@cache
def kernel_names() -> tuple[str, ...]:
    """The kernels that this CPU can run, the fastest first: avx512, avx2, neon, plain. Empty if the
    library is not installed."""
    if load() is None:
        return ()
    buffer = ctypes.create_string_buffer(64)
    function("kernel_names")(buffer, len(buffer))
    return tuple(buffer.value.decode().split("\n"))


def has_fast_kernels() -> bool:
    """Whether there are kernels for this CPU's vector instructions. Without them torch is faster:
    the plain ones round as the others do, for which most CPUs without them have no instruction."""
    return chosen_kernels() not in (None, "plain")


def chosen_kernels() -> str | None:
    """The kernels to compute with: those that the environment names, else the fastest; None if the
    library is not installed. InputError for an unknown name."""
    names, wanted = kernel_names(), os.environ.get(KERNELS_VARIABLE)
    if names and wanted and wanted not in names:
        what = f"{KERNELS_VARIABLE}: no kernels '{wanted}' for this CPU"
        raise InputError(what, f"known are: {', '.join(names)}")
    return wanted or names[0] if names else None
