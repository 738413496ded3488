"""Tensors in files, each mapped into memory by itself when it is asked for, and given back when it
is dropped.

The safetensors library maps a whole file, and what was read of it stays in memory for as long as
any of its tensors does: a large model that is turned into another precision would be there twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.plugin import InputError

#: The types of numbers as safetensors call them.
KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Storage:
    """Numbers in a file. Where they begin need not be known at once."""

    def __init__(self, path: Path, dtype: torch.dtype, size: int, start: int = -1) -> None:
        self.path, self.dtype, self.size, self.start = path, dtype, size, start

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Stored:
    """A tensor in a file; a call maps it into memory. What is written to it stays there."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self) -> Tensor:
        source = self.storage
        if not prod(self.shape):
            return torch.empty(self.shape, dtype=source.dtype)
        mapped = np.memmap(source.path, np.uint8, "c", source.start, (source.bytes,))
        return torch.from_numpy(mapped).view(source.dtype).as_strided(
            self.shape, self.strides, self.offset
        )  # fmt: skip


def stored(path: Path, hint: str = "restore it from a copy") -> dict[str, Stored]:
    """The tensors of a safetensors file by name. InputError when it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt"):  # is it all there?
            pass
    except FileNotFoundError:
        raise InputError(f"no file {path}", "is the model complete?") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged: {error}", hint) from None
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: _entry(path, 8 + length, name, about) for name, about in header.items()}


def _entry(path: Path, start: int, name: str, about: Mapping[str, Any]) -> Stored:
    """A tensor of a file whose tensors begin at `start`."""
    if (kind := about["dtype"]) not in KINDS:
        raise InputError(f"{path}: {name} is of type {kind}", f"known are {', '.join(KINDS)}")
    shape, begin = tuple(about["shape"]), about["data_offsets"][0]
    strides = tuple(prod(shape[n + 1 :]) for n in range(len(shape)))
    return Stored(Storage(path, KINDS[kind], prod(shape), start + begin), 0, shape, strides)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. InputError when it is missing or damaged."""
    return {name: get() for name, get in stored(path).items()}
