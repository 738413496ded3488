"""What `torch.save` wrote, read without running anything in it or loading what is not asked for.

A checkpoint is a pickle in which tensors name storages, and the storages' bytes. Since PyTorch 1.6
both are in a zip archive; before, they followed each other in one file. `torch.load` maps only the
former, and a mapped file stays in memory as far as it was read. Here each tensor is mapped by
itself when it is asked for, and given back when it is dropped.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import torch

from jukebox_cli.api import InputError
from jukebox_cli.storage.tensors import FileStorage, StoredTensor

#: What the first pickle of a file of before PyTorch 1.6 is.
_MAGIC = 0x1950A86A20F9469CFC6C

_STORAGES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Refused(pickle.UnpicklingError):
    """A pickle names something that is neither a tensor nor a plain value."""


class Strange(Exception):
    """A file that `torch.save` did not write."""


class _Storage(FileStorage):
    """As a pickle names it, which could otherwise have us read another file."""

    def __setstate__(self, state: object) -> None:
        raise Refused("a state for a storage")


class _Stored(StoredTensor):
    """The same of a tensor."""

    def __setstate__(self, state: object) -> None:
        raise Refused("a state for a tensor")


def _tensor(
    storage: FileStorage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: object
) -> StoredTensor:
    """What stands for torch's own function of a pickle."""
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, FileStorage) or len(shape) != len(strides) or min(numbers) < 0:
        raise ValueError("a tensor that can't be")
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if prod(shape) and last >= storage.size:
        raise ValueError("a tensor is larger than its storage")
    return _Stored(storage, offset, tuple(shape), tuple(strides))


def _parameter(data: StoredTensor, *_: object) -> StoredTensor:
    return data


def _size(*sizes: Any) -> tuple[int, ...]:
    return tuple(*sizes)


class _Call:
    """A function that a pickle may call, and nothing else: it can't be changed."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *given: Any) -> Any:
        return self.function(*given)

    def __setstate__(self, state: object) -> None:
        raise Refused("a state for a function")


_KNOWN: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _Call(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Call(_parameter),
    ("torch", "Size"): _Call(_size),
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
    **{("torch", str(d).removeprefix("torch.")): d for d in _STORAGES.values()},
}


class _Unpickler(pickle.Unpickler):
    """Knows tensors and plain values. Nothing else can be named, so nothing else can be called."""

    def __init__(self, file: IO[bytes], path: Path, starts: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(file, encoding="utf-8")
        self.path, self.starts = path, starts
        self.storages: dict[str, FileStorage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise Refused(f"{module}.{name}")
        return _KNOWN[module, name]

    def persistent_load(self, pid: Any) -> FileStorage:
        kind, dtype, key, _, size, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or size < 0:
            raise Refused(f"a {kind}")
        if key not in self.storages:
            start, length = self.starts.get(key, (-1, -1))
            self.storages[key] = _Storage(self.path, dtype, size, start)
            if self.starts and length != self.storages[key].num_bytes:
                raise ValueError(f"storage {key} has {length} bytes")
        return self.storages[key]


def read_pickle(path: Path) -> Any:
    """What `torch.save` wrote, with a `Stored` for every tensor.

    InputError for a file that holds more than tensors and plain values, or that is damaged.
    """
    if not path.is_file():
        raise InputError(f"no file {path}", "is the download complete?")
    again = "download it again, or restore it from a copy"
    try:
        return _zipped(path) if _is_zip(path) else _plain(path)
    except Refused as error:
        what = f"{path} holds more than tensors and plain values: {error}"
        raise InputError(
            what, "it could run code, so it is not read; get the weights alone"
        ) from None
    except Strange:
        hint = "download it again: it may be a page that says what went wrong"
        raise InputError(f"{path} is not a checkpoint", hint) from None
    except (EOFError, zipfile.BadZipFile) as error:
        reason = "a checksum is wrong" if "CRC" in str(error) else "its end is missing"
        raise InputError(f"{path} is damaged: {reason}", again) from None
    except PermissionError as error:
        raise InputError(f"can't read {path}: {error.strerror}", "change its permissions") from None
    except Exception as error:  # a damaged pickle can raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is damaged: {reason}", again) from None


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _zipped(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if "data.pkl" not in entries:
            raise Strange
        starts = {
            name.removeprefix("data/"): (_start(file, entry), entry.file_size)
            for name, entry in entries.items()
            if name.startswith("data/") and entry.compress_type == zipfile.ZIP_STORED
        }
        text = archive.read(entries["data.pkl"])
    return _Unpickler(io.BytesIO(text), path, {"": (0, 0), **starts}).load()


def _start(file: IO[bytes], entry: zipfile.ZipInfo) -> int:
    """Where the bytes of a part of an archive begin: after its name and its padding."""
    file.seek(entry.header_offset + 26)
    name, padding = (int.from_bytes(file.read(2), "little") for _ in range(2))
    return entry.header_offset + 30 + name + padding


def _plain(path: Path) -> Any:
    with path.open("rb") as file:
        try:
            magic = _Unpickler(file, path, {}).load()
        except Refused:
            raise
        except Exception:
            magic = None
        if magic != _MAGIC:
            raise EOFError if path.stat().st_size == 0 else Strange
        for _ in ("version", "system"):
            _Unpickler(file, path, {}).load()
        reader = _Unpickler(file, path, {})
        data = reader.load()
        keys = _Unpickler(file, path, {}).load()
        start, end = file.tell(), path.stat().st_size
        for key in keys:  # each behind its size, 8 bytes
            storage = reader.storages[key]
            storage.start = start + 8
            start = storage.start + storage.num_bytes
    if start > end or any(storage.start < 0 for storage in reader.storages.values()):
        raise EOFError
    return data
