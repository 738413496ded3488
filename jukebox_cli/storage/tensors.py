"""Tensors in safetensors files, mapped one by one when they are needed and written one by one.

The safetensors library maps a whole file, and what was read of it stays in memory for as long as
any of its tensors does: a large model that is converted to another precision would be in memory
twice. Its writer needs all tensors at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.interfaces.errors import InputError, read_error
from jukebox_cli.storage.checksums import PLACEHOLDER, replace_first
from jukebox_cli.storage.files import atomic_write
from jukebox_cli.storage.safetensors_files import (
    METADATA,
    TensorEntry,
    header_bytes,
    read_header,
)

Weights = Mapping[str, Tensor]


def save_tensors(path: Path, tensors: Weights, metadata: Mapping[str, str] | None = None) -> None:
    """Replaces a safetensors file atomically; its metadata has a checksum of it too."""
    write_tensors(path, {name: partial(_same, t) for name, t in tensors.items()}, metadata)


def _same(tensor: Tensor) -> Tensor:
    return tensor


#: Names of dtypes in safetensors files.
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


#: Dtypes of weights; other state of a training may have any.
WEIGHT_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


class FileStorage:
    """A stretch of a file that holds numbers of one dtype: `size` of them from byte `start` on.

    `start` may be filled in later; it is -1 until then.
    """

    def __init__(self, path: Path, dtype: torch.dtype, size: int, start: int = -1) -> None:
        self.path, self.dtype, self.size, self.start = path, dtype, size, start

    @property
    def num_bytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file. A call maps it into memory, copy on write: the file never changes."""

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
    """The tensors of a safetensors file by name, not yet read.

    Raises InputError, with `hint` on what to do, if the file is missing or damaged.
    """
    try:
        header = read_header(path)
    except FileNotFoundError:
        raise InputError(f"no file {path}", "is the model complete?") from None
    except OSError as error:
        raise read_error(path, error) from None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", hint) from None
    return {name: _stored_tensor(path, name, entry) for name, entry in header.tensors.items()}


def _stored_tensor(path: Path, name: str, entry: TensorEntry) -> StoredTensor:
    if entry.dtype not in DTYPES:
        what = f"{path}: {name} is of type {entry.dtype}"
        raise InputError(what, f"known are {', '.join(DTYPES)}")
    shape = entry.shape
    strides = tuple(prod(shape[n + 1 :]) for n in range(len(shape)))
    storage = FileStorage(path, DTYPES[entry.dtype], prod(shape), entry.start)
    return StoredTensor(storage, 0, shape, strides)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, mapped. Raises InputError if it is missing or damaged."""
    return {name: get() for name, get in index_tensors(path).items()}


def stream_tensors(path: Path, tensors: Mapping[str, Callable[[], Tensor]]) -> None:
    """Writes a safetensors file of weights, with its checksum and with one tensor at a time in
    memory. Raises InputError for a dtype that weights can't have."""
    for name, get in tensors.items():
        if (dtype := get().dtype) not in WEIGHT_DTYPES:
            what = f"{name} is {str(dtype).removeprefix('torch.')}, which weights can't be"
            raise InputError(f"can't write {path}: {what}", "they are float16, bfloat16 or float32")
    write_tensors(path, tensors)


def write_tensors(
    path: Path,
    tensors: Mapping[str, Callable[[], Tensor]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Replaces a safetensors file atomically, with one tensor at a time in memory.

    As in the library's files, wide dtypes come before narrow ones, so that all are aligned, and
    then names in order. The metadata begins with `checksum`, that of the file.
    """
    ordered = sorted(tensors.items(), key=lambda each: (-each[1]().element_size(), each[0]))
    entries = {METADATA: {"checksum": PLACEHOLDER, **(metadata or {})}, **_entries(ordered)}
    head = header_bytes(entries)
    digest = sha256(head)
    with atomic_write(path) as part, part.open("wb") as file:
        file.write(head)
        for _, get in ordered:
            data = get().detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            digest.update(data)
            file.write(data)
        file.seek(0)
        file.write(replace_first(head, PLACEHOLDER, digest.hexdigest()))


def _entries(tensors: Sequence[tuple[str, Callable[[], Tensor]]]) -> dict[str, Any]:
    """The entries of the header for tensors that are written one after the other."""
    names_of_dtypes = {dtype: name for name, dtype in DTYPES.items()}
    entries: dict[str, Any] = {}
    end = 0
    for name, get in tensors:
        tensor = get()
        start, end = end, end + tensor.numel() * tensor.element_size()
        dtype, shape = names_of_dtypes[tensor.dtype], list(tensor.shape)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    return entries
