"""The header of safetensors files, with nothing in it believed: what it claims is compared with the
file.

Format: the length of the header (8 bytes, little endian), the header (JSON: dtype, shape and
data_offsets of each tensor by name, and text by name as `__metadata__`), the tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

#: Bytes per number of each dtype.
ITEM_SIZES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8,
    "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip

#: As in the safetensors library.
MAX_HEADER_BYTES = 100_000_000
MAX_DIMENSIONS = 16

METADATA = "__metadata__"


@dataclass(frozen=True)
class TensorEntry:
    """A tensor in a file: `start` and `end` are bytes from the beginning of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """What a file begins with, up to its tensors."""

    text: bytes  # its length included
    tensors: Mapping[str, TensorEntry]  # in the order of the file
    metadata: Mapping[str, str]


def header_bytes(entries: Mapping[str, Any]) -> bytes:
    """What a safetensors file begins with, padded with spaces so that tensors are aligned.

    entries: dtype, shape and data_offsets of each tensor by name; metadata as `__metadata__`. The
        safetensors library writes metadata in random order, so that files of the same content
        differ; here it stays in order.
    """
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def read_header(path: Path) -> SafetensorsHeader:
    """The header of a file, without reading its tensors. Raises ValueError if the file is damaged,
    OSError if it can't be read."""
    with path.open("rb") as file:
        return parse_header(file, path.stat().st_size)


def parse_header(file: BinaryIO, size: int) -> SafetensorsHeader:
    """The header of an open file of `size` bytes. Raises ValueError if the file is damaged."""
    begin = file.read(8)
    length = int.from_bytes(begin, "little")
    if len(begin) < 8 or length > size - 8:
        raise ValueError("it is cut off")
    if length > MAX_HEADER_BYTES:
        raise ValueError("its header is too long")
    text = file.read(length)
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(entries, dict):
        raise ValueError("its header is not a mapping")
    metadata = _metadata(entries.pop(METADATA, {}))
    found = sorted(
        ((name, _entry(name, entry, 8 + length)) for name, entry in entries.items()),
        key=lambda each: (each[1].start, each[1].end),
    )
    _require_covered(found, 8 + length, size)
    return SafetensorsHeader(begin + text, dict(found), metadata)


def _metadata(found: object) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise ValueError("its metadata is not text")
    return found


def _entry(name: str, entry: object, data_start: int) -> TensorEntry:
    """A tensor's entry, whose offsets count from byte `data_start` of the file."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the entry of {name} is not dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise ValueError(f"{name} has an unknown dtype")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{name} has impossible sizes")
    begin, end = offsets
    if prod(shape) * ITEM_SIZES[dtype] != end - begin:
        raise ValueError(f"{name} has impossible sizes")
    return TensorEntry(dtype, tuple(shape), data_start + begin, data_start + end)


def _are_sizes(found: object) -> bool:
    """Whether something is a short list of integers of 0 or more."""
    return (
        isinstance(found, list)
        and len(found) <= MAX_DIMENSIONS
        and all(type(n) is int and 0 <= n < 2**62 for n in found)
    )


def _require_covered(tensors: list[tuple[str, TensorEntry]], start: int, size: int) -> None:
    """Raises ValueError unless the tensors, in order, are the rest of a file of `size` bytes."""
    for name, entry in tensors:
        if entry.start != start:
            raise ValueError(f"{name} is not where the tensor before it ends")
        start = entry.end
    if start > size:
        raise ValueError("it is cut off")
    if start < size:
        raise ValueError("it is longer than its tensors")
