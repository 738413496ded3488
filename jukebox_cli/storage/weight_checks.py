"""Weights and checkpoints are whole, and their numbers finite, before they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from jukebox_cli.interfaces.errors import InputError, read_error
from jukebox_cli.storage.checksums import (
    CHECKSUM_FILE,
    MISMATCH,
    PLACEHOLDER,
    checksum_file_text,
    read_checksum_file,
    replace_first,
)
from jukebox_cli.storage.documents import RESTORE_HINT
from jukebox_cli.storage.files import write_text
from jukebox_cli.storage.safetensors_files import (
    ITEM_SIZES,
    SafetensorsHeader,
    TensorEntry,
    parse_header,
)
from jukebox_cli.storage.verified import is_settled, is_verified, remember_verified

if TYPE_CHECKING:
    import numpy as np

#: Bits of the exponent, which are all set in NaN and in infinite numbers.
_EXPONENTS = {
    "F64": 0x7FF0_0000_0000_0000,
    "F32": 0x7F80_0000,
    "F16": 0x7C00,
    "BF16": 0x7F80,
}

#: Bytes that are read at a time: they stay in a processor's cache while they are checked.
_BLOCK = 1 << 20


def verify_weights(path: Path) -> None:
    """Raises InputError if a safetensors file is missing or damaged, if it has no checksum or that
    of other content, or if a tensor holds NaN or infinite numbers.

    The file is read through once, and not again as long as it does not change.
    """
    if not is_verified(path):
        read_through(path)


def read_through(path: Path) -> None:
    """As `verify_weights`, but reads the file also if it was found whole before."""
    try:
        settled = is_settled(path)
        with path.open("rb") as file:
            header = parse_header(file, path.stat().st_size)
            _require_whole(path, header, file)
    except FileNotFoundError:
        raise InputError(f"no file {path}", "is the model complete?") from None
    except OSError as error:
        raise read_error(path, error) from None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", RESTORE_HINT) from None
    if settled:
        remember_verified(path)


def _require_whole(path: Path, header: SafetensorsHeader, file: BinaryIO) -> None:
    """Checks a file whose header was read. Raises ValueError if it is damaged, InputError if it has
    no checksum or numbers that are not finite."""
    inside = header.metadata.get("checksum")
    expected = inside or read_checksum_file(path.parent).get(path.name)
    if expected is None:
        hint = f"if you trust it, record one: `jukebox model check {path.parent} --record`"
        raise InputError(f"{path} has no checksum", hint)
    head = replace_first(header.text, inside, PLACEHOLDER) if inside else header.text
    checksum, not_finite = _digest(head, header, file)
    if checksum != expected:
        raise ValueError(MISMATCH)
    if not_finite:
        hint = "its training diverged: restore an earlier copy, or train it again"
        raise InputError(f"{path}: {not_finite} holds numbers that are not finite", hint)


def _digest(head: bytes, header: SafetensorsHeader, file: BinaryIO) -> tuple[str, str | None]:
    """The checksum of a file that begins with `head`, and the first tensor that is not finite."""
    digest = hashlib.sha256(head)
    not_finite: str | None = None
    for name, entry in header.tensors.items():
        for block in _blocks(file, entry.end - entry.start):
            digest.update(block)
            if not_finite is None and not _is_finite(block, entry):
                not_finite = name
    return digest.hexdigest(), not_finite


def _blocks(file: BinaryIO, count: int) -> Iterator[bytes]:
    """The next `count` bytes of a file. Raises ValueError if it ends before."""
    while count:
        block = file.read(min(count, _BLOCK))
        if len(block) < min(count, _BLOCK):
            raise ValueError("it is cut off")
        count -= len(block)
        yield block


def _is_finite(block: bytes, entry: TensorEntry) -> bool:
    import numpy as np

    if entry.dtype not in _EXPONENTS:
        return True
    bits: np.ndarray = np.frombuffer(block, f"<u{ITEM_SIZES[entry.dtype]}")
    exponent = bits.dtype.type(_EXPONENTS[entry.dtype])
    return bool((bits & exponent).max(initial=0) != exponent)


def record_checksums(folder: Path) -> list[str]:
    """Writes the checksums of a model's weights that hold none into its checksums.txt. Returns the
    names of those files. Raises InputError if one is damaged or not finite, or if the folder can't
    be written to."""
    recorded = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with path.open("rb") as file:
                header = parse_header(file, path.stat().st_size)
                if "checksum" in header.metadata:
                    continue
                recorded[path.name], not_finite = _digest(header.text, header, file)
        except OSError as error:
            raise read_error(path, error) from None
        except ValueError as error:
            raise InputError(f"{path} is damaged: {error}", RESTORE_HINT) from None
        if not_finite:
            what = f"{path}: {not_finite} holds numbers that are not finite"
            raise InputError(what, "such a model can't be sampled: get another copy")
    if recorded:
        write_text(folder / CHECKSUM_FILE, checksum_file_text(recorded))
    return list(recorded)
