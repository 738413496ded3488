"""From a model's folder to networks on a device."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from jukebox_cli.interfaces.errors import InputError


def pick_device(name: str) -> torch.device:
    """`auto` is the first there is of cuda, mps, cpu. InputError when `name` is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next((d for d, ok in there.items() if ok), "cpu"))
    if name != "cpu" and not there.get(name, False):
        raise InputError(f"no device '{name}' on this machine", "use --device auto or cpu")
    return torch.device(name)


def pick_precision(name: str, device: torch.device, large: bool) -> torch.dtype:
    """What a prior draws in. `auto` is fp32 on a CPU but for large ones, which are drawn in fp16 as
    Jukebox was; and what else a device is fast at. InputError when a device can't."""
    if name == "bf16" and device.type == "cpu":
        raise InputError("a CPU draws in fp32 or fp16, not in bf16", "use --precision fp16")
    if name != "auto":
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[name]
    if device.type == "cuda":
        return torch.bfloat16 if fast_bfloat16(device) else torch.float16
    return torch.float16 if device.type == "cpu" and large else torch.float32


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Mixed precision: bfloat16 if `precision` is bf16, or auto and the device is fast at it."""
    wanted = precision == "bf16" or (precision == "auto" and fast_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
