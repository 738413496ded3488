"""Reads what `torch.save` wrote without running code in it, and without loading its tensors.

A checkpoint is a pickle in which tensors refer to storages by key, and the bytes of the storages.
Since PyTorch 1.6 both are in a zip archive; before, one followed the other in a plain file.
`torch.load` memory-maps only archives, and keeps in memory what was read of them. Here each tensor
is mapped by itself when it is needed, and freed when it is dropped.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import torch

from jukebox_cli.api import InputError
from jukebox_cli.api.tensors import FileStorage, StoredTensor

#: The first pickle of a file from before PyTorch 1.6.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C

_STORAGE_DTYPES = {
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


#: That of the largest published checkpoint has 0.3 MB. A compressed one could fill all memory.
MAX_PICKLE_BYTES = 100_000_000
MAX_PICKLE_OBJECTS = 1_000_000

_MEMO_OPCODES = ("PUT", "BINPUT", "LONG_BINPUT")


class UnsafePickle(pickle.UnpicklingError):
    """A pickle refers to something that is neither a tensor nor a plain value."""


class NotACheckpoint(Exception):
    """A file that `torch.save` did not write."""


class _PickledStorage(FileStorage):
    """A storage that a pickle can't change: it could make it read another file."""

    def __setstate__(self, state: object) -> None:
        raise UnsafePickle("a state for a storage")


class _PickledTensor(StoredTensor):
    """A tensor that a pickle can't change."""

    def __setstate__(self, state: object) -> None:
        raise UnsafePickle("a state for a tensor")


def _rebuild_tensor(
    storage: FileStorage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: object
) -> StoredTensor:
    """Takes the place of torch's function of this name."""
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, FileStorage) or len(shape) != len(strides) or min(numbers) < 0:
        raise ValueError("a tensor has impossible sizes")
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if prod(shape) and last >= storage.size:
        raise ValueError("a tensor is larger than its storage")
    return _PickledTensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data: StoredTensor, *_: object) -> StoredTensor:
    return data


def _size(*sizes: Any) -> tuple[int, ...]:
    return tuple(*sizes)


class _AllowedCall:
    """A function that a pickle may call, and can't change."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise UnsafePickle("a state for a function")


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _AllowedCall(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _AllowedCall(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _AllowedCall(_rebuild_parameter),
    ("torch", "Size"): _AllowedCall(_size),
    **{("torch", name): dtype for name, dtype in _STORAGE_DTYPES.items()},
    **{("torch", str(d).removeprefix("torch.")): d for d in _STORAGE_DTYPES.values()},
}


def _require_small_memo(file: IO[bytes]) -> None:
    """Raises ValueError for a pickle that numbers an object so high that the list of them would
    fill the memory."""
    for opcode, argument, _ in pickletools.genops(file):
        number = argument if isinstance(argument, int) and opcode.name in _MEMO_OPCODES else 0
        if number > MAX_PICKLE_OBJECTS:
            raise ValueError(f"its pickle has more than {MAX_PICKLE_OBJECTS:,} objects")


class _Unpickler(pickle.Unpickler):
    """Knows tensors and plain values. Nothing else can be named, so nothing else can be called."""

    def __init__(self, file: IO[bytes], path: Path, entries: Mapping[str, tuple[int, int]]) -> None:
        """`entries`: where each storage begins in the file, and its length in bytes, by key; empty
        for a plain file, where this is known only after the pickle was read."""
        super().__init__(file, encoding="utf-8")
        self.file, self.path, self.entries = file, path, entries
        self.storages: dict[str, FileStorage] = {}

    def load(self) -> Any:
        """The next object of the file."""
        start = self.file.tell()
        _require_small_memo(self.file)
        self.file.seek(start)
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise UnsafePickle(f"{module}.{name}")
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> FileStorage:
        kind, dtype, key, _, size, *_ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype) or size < 0:
            raise UnsafePickle(f"a {kind}")
        if key not in self.storages:
            start, length = self.entries.get(key, (-1, -1))
            self.storages[key] = _PickledStorage(self.path, dtype, size, start)
            if self.entries and length != self.storages[key].num_bytes:
                raise ValueError(f"storage {key} has {length} bytes")
        return self.storages[key]


def read_pickle(path: Path) -> Any:
    """What `torch.save` wrote, with a `StoredTensor` in place of every tensor.

    :raises InputError: if the file holds more than tensors and plain values, or is damaged.
    """
    if not path.is_file():
        raise InputError(f"no file {path}", "is the download complete?")
    try:
        return _read_archive(path) if _is_zip(path) else _read_plain(path)
    except Exception as error:  # a damaged pickle can raise anything
        raise _input_error(path, error) from None


def _input_error(path: Path, error: Exception) -> InputError:
    """What a person can do about an error in reading a checkpoint."""
    again = "download it again, or restore it from a copy"
    if isinstance(error, UnsafePickle):
        what = f"{path} holds more than tensors and plain values: {error}"
        return InputError(what, "it could run code, so it is not read; get the weights alone")
    if isinstance(error, NotACheckpoint):
        hint = "download it again: it may be a web page with an error message"
        return InputError(f"{path} is not a checkpoint", hint)
    if isinstance(error, EOFError | zipfile.BadZipFile):
        reason = "a checksum is wrong" if "CRC" in str(error) else "its end is missing"
        return InputError(f"{path} is damaged: {reason}", again)
    if isinstance(error, PermissionError):
        return InputError(f"can't read {path}: {error.strerror}", "change its permissions")
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"{path} is damaged: {reason}", again)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _read_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if "data.pkl" not in entries:
            raise NotACheckpoint
        if entries["data.pkl"].file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"its pickle has more than {MAX_PICKLE_BYTES:,} bytes")
        storages = {
            name.removeprefix("data/"): (_data_start(file, entry), entry.file_size)
            for name, entry in entries.items()
            if name.startswith("data/") and entry.compress_type == zipfile.ZIP_STORED
        }
        size = path.stat().st_size
        if any(start + length > size for start, length in storages.values()):
            raise EOFError
        text = archive.read(entries["data.pkl"])
    return _Unpickler(io.BytesIO(text), path, {"": (0, 0), **storages}).load()


def _data_start(file: IO[bytes], entry: zipfile.ZipInfo) -> int:
    """Where the bytes of an archive's entry begin: after its header, its name and its padding."""
    file.seek(entry.header_offset + 26)
    name, padding = (int.from_bytes(file.read(2), "little") for _ in range(2))
    return entry.header_offset + 30 + name + padding


def _read_plain(path: Path) -> Any:
    with path.open("rb") as file:
        _require_magic_number(file, path)
        for _ in ("protocol version", "system information"):
            _Unpickler(file, path, {}).load()
        reader = _Unpickler(file, path, {})
        data = reader.load()
        keys = _Unpickler(file, path, {}).load()
        start, end = file.tell(), path.stat().st_size
        for key in keys:  # each storage follows its size, 8 bytes
            storage = reader.storages[key]
            storage.start = start + 8
            start = storage.start + storage.num_bytes
    if start > end or any(storage.start < 0 for storage in reader.storages.values()):
        raise EOFError
    return data


def _require_magic_number(file: IO[bytes], path: Path) -> None:
    try:
        number = _Unpickler(file, path, {}).load()
    except UnsafePickle:
        raise
    except Exception:
        number = None
    if number != _MAGIC_NUMBER:
        raise EOFError if path.stat().st_size == 0 else NotACheckpoint
