"""Which device to compute on, and in which floating-point type."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from jukebox_cli.interfaces.errors import InputError


def pick_device(name: str) -> torch.device:
    """The device called cpu, cuda or mps; `auto` is the first available of cuda, mps and cpu.

    InputError if the device is not available.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((device for device, ok in available.items() if ok), "cpu"))
    if name != "cpu" and not available.get(name, False):
        raise InputError(f"no device '{name}' on this machine", "use --device auto or cpu")
    return torch.device(name)


def pick_dtype(precision: str, device: torch.device, large: bool) -> torch.dtype:
    """The floating-point type that a prior is sampled in, for a precision fp32, fp16, bf16 or auto.

    `auto` is the type the device is fast at: bfloat16 or float16 on CUDA, float32 elsewhere, but
    float16 for a large prior on a CPU, as in the original implementation. InputError if the device
    does not support the precision.
    """
    if precision == "int8":
        raise InputError("only the native engine has int8", "use --precision fp16")
    if precision == "bf16" and device.type == "cpu":
        raise no_bfloat16_error()
    if precision != "auto":
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    if device.type == "cuda":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float16
    return torch.float16 if device.type == "cpu" and large else torch.float32


def no_bfloat16_error() -> InputError:
    """The error of sampling in bf16 on a CPU."""
    return InputError("a CPU samples in fp32, fp16 or int8, not in bf16", "use --precision fp16")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """A context of mixed precision with bfloat16, for training and encoding.

    Enabled if `precision` is bf16, or auto on a device that is fast at bfloat16.
    """
    enabled = precision == "bf16" or (precision == "auto" and has_fast_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16, so that it is faster than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
