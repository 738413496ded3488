"""The choice of the engine and the precision that a level is sampled with."""

from __future__ import annotations

from pathlib import Path

import torch

from jukebox_cli.engine import library
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.devices import no_bfloat16_error, pick_dtype
from jukebox_cli.model.loader import stored_weights
from jukebox_cli.storage.segments import ComputeSettings

_DTYPE_NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def choose_settings(
    weights: Path, device: torch.device, engine: str = "auto", precision: str = "auto"
) -> ComputeSettings:
    """The engine (auto, native, torch) and precision (auto, fp32, fp16, bf16, int8) to sample the
    prior of a weight file with.

    `auto` is the native engine on a CPU that it has fast kernels for, and torch elsewhere. For the
    native engine, precision `auto` is fp16 where the weights are stored as fp16, which changes
    nothing, or where the prior is large, as in the original implementation, and else fp32.
    Raises InputError for what is not installed or not possible.
    """
    engine = choose_engine(device, engine)
    stored = stored_weights(weights)
    if engine == "native":
        automatic = "fp16" if stored.all_fp16 or stored.is_large else "fp32"
        precision = automatic if precision == "auto" else precision
        if precision == "bf16":
            raise no_bfloat16_error()
        return ComputeSettings(engine, precision)
    return ComputeSettings(engine, _DTYPE_NAMES[pick_dtype(precision, device, stored.is_large)])


def choose_engine(device: torch.device, engine: str) -> str:
    """The engine, native or torch, for a name that may be auto. InputError as `choose_settings`."""
    if engine == "auto":
        return "native" if device.type == "cpu" and library.has_fast_kernels() else "torch"
    if engine == "native" and device.type != "cpu":
        raise InputError(
            f"the native engine computes on a CPU, not on {device.type}",
            "use --engine torch, or --device cpu",
        )
    if engine == "native" and not library.kernel_names():
        raise InputError(
            "the native engine is not installed",
            "install jukebox-cli again where there is a C++ compiler, or use --engine torch",
        )
    return engine
