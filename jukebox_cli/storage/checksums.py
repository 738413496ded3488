"""Checksums: SHA-256, kept inside the file that they are of.

A file that jukebox writes holds its own checksum, so that both are replaced in one step. It is the
hash of the whole file with zeros in the checksum's place: every byte is covered.

SHA-256 is the fastest hash of the standard library on processors with instructions for it (1.7
GB/s; BLAKE2b 0.9), and that of `sha256sum` and the Hugging Face Hub.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

#: Takes the place of the checksum while it is computed.
PLACEHOLDER = "0" * 64

#: What is wrong with a file whose checksum is that of other content.
MISMATCH = "its checksum does not match"

#: The checksums of weights that others wrote, in a model's folder: `sha256sum -c` reads it.
CHECKSUM_FILE = "checksums.txt"


def seal(head: bytes, rest: bytes = b"") -> bytes:
    """The content of a file with its checksum in the place of the first PLACEHOLDER in `head`."""
    digest = hashlib.sha256(head)
    digest.update(rest)
    return replace_first(head, PLACEHOLDER, digest.hexdigest()) + rest


def seal_text(text: str) -> str:
    """Text with its checksum in the place of the first PLACEHOLDER in it."""
    return seal(text.encode()).decode()


def replace_first(data: bytes, old: str, new: str) -> bytes:
    """Data with one text in the place of another, of the same length, where it occurs first.

    Raises ValueError if it does not occur.
    """
    if len(old) != len(new):
        raise ValueError(MISMATCH)
    before, found, after = data.partition(old.encode())
    if not found:
        raise ValueError(MISMATCH)
    return before + new.encode() + after


def require_intact(head: bytes, checksum: object, rest: bytes = b"") -> None:
    """Raises ValueError unless `checksum`, which `head` holds, is that of a file's content."""
    if not isinstance(checksum, str):
        raise ValueError(MISMATCH)
    digest = hashlib.sha256(replace_first(head, checksum, PLACEHOLDER))
    digest.update(rest)
    if digest.hexdigest() != checksum:
        raise ValueError(MISMATCH)


def read_checksum_file(folder: Path) -> dict[str, str]:
    """The checksums in a folder's checksums.txt by file name; empty if there is none.

    Raises ValueError for a line that is not one of `sha256sum`.
    """
    path = folder / CHECKSUM_FILE
    if not path.is_file():
        return {}
    checksums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        checksum, separator, name = line.partition("  ")
        if not separator or len(checksum) != len(PLACEHOLDER):
            raise ValueError(f"line {number} of {path} is no checksum")
        checksums[name] = checksum
    return checksums


def checksum_file_text(checksums: Mapping[str, str]) -> str:
    """The content of a checksums.txt."""
    return "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums))
