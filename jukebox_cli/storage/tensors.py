"""Tensors in files, one by one: each mapped into memory by itself when it is asked for, and given
back when it is dropped; each written before the next one is asked for.

The safetensors library maps a whole file, and what was read of it stays in memory for as long as
any of its tensors does: a large model that is turned into another precision would be there twice.
Its writer wants all of them at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.interfaces.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.storage.files import atomic_write, safetensors_errors

Weights = Mapping[str, "Tensor"]


def save_tensors(path: Path, tensors: Weights, about: Mapping[str, str] | None = None) -> None:
    from safetensors.torch import save_file

    with atomic_write(path) as part, safetensors_errors():
        save_file({k: v.contiguous() for k, v in tensors.items()}, part, dict(about or {}))


#: The types of numbers as safetensors call them.
DTYPES = {
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


#: What weights may be; what training keeps beside them may be anything.
WEIGHT_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class FileStorage:
    """Numbers in a file. Where they begin need not be known at once."""

    def __init__(self, path: Path, dtype: torch.dtype, size: int, start: int = -1) -> None:
        self.path, self.dtype, self.size, self.start = path, dtype, size, start

    @property
    def num_bytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file; a call maps it into memory. What is written to it stays there."""

    storage: FileStorage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self) -> Tensor:
        source = self.storage
        if not prod(self.shape):
            return torch.empty(self.shape, dtype=source.dtype)
        mapped = np.memmap(source.path, np.uint8, "c", source.start, (source.num_bytes,))
        return torch.from_numpy(mapped).view(source.dtype).as_strided(
            self.shape, self.strides, self.offset
        )  # fmt: skip


def index_tensors(path: Path, hint: str = "restore it from a copy") -> dict[str, StoredTensor]:
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


def _entry(path: Path, start: int, name: str, about: Mapping[str, Any]) -> StoredTensor:
    """A tensor of a file whose tensors begin at `start`."""
    if (kind := about["dtype"]) not in DTYPES:
        raise InputError(f"{path}: {name} is of type {kind}", f"known are {', '.join(DTYPES)}")
    shape, begin = tuple(about["shape"]), about["data_offsets"][0]
    strides = tuple(prod(shape[n + 1 :]) for n in range(len(shape)))
    return StoredTensor(
        FileStorage(path, DTYPES[kind], prod(shape), start + begin), 0, shape, strides
    )


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. InputError when it is missing or damaged."""
    return {name: get() for name, get in index_tensors(path).items()}


def stream_tensors(path: Path, tensors: Mapping[str, Callable[[], Tensor]]) -> None:
    """Writes a safetensors file of weights.

    The format: the header's length (8 bytes, little endian), the header (JSON, padded with spaces),
    the tensors' bytes. As the library does, wide numbers go before narrow ones, so that all are
    aligned, and names in order.
    """
    kinds = {dtype: kind for kind, dtype in DTYPES.items()}
    header: dict[str, Any] = {}
    end = 0
    ordered = sorted(tensors.items(), key=lambda each: (-each[1]().element_size(), each[0]))
    for name, get in ordered:
        tensor = get()
        start, end = end, end + tensor.numel() * tensor.element_size()
        if tensor.dtype not in WEIGHT_DTYPES:
            what = f"{name} is {str(tensor.dtype).removeprefix('torch.')}, which weights can't be"
            raise InputError(f"can't write {path}: {what}", "they are float16, bfloat16 or float32")
        kind, shape = kinds[tensor.dtype], list(tensor.shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, get in ordered:
            file.write(get().contiguous().reshape(-1).view(torch.uint8).numpy().data)
