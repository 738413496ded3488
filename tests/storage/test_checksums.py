"""Files hold their own checksum, which covers every byte."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from jukebox_cli.storage.checksums import (
    CHECKSUM_FILE,
    PLACEHOLDER,
    checksum_file_text,
    read_checksum_file,
    replace_first,
    require_intact,
    seal,
    seal_text,
)

TEXT = f"seed: 3 checksum: {PLACEHOLDER}\n"


def test_a_checksum_is_that_of_the_text_with_zeros_in_its_place() -> None:
    checksum = hashlib.sha256(TEXT.encode()).hexdigest()
    assert seal_text(TEXT) == f"seed: 3 checksum: {checksum}\n"
    require_intact(seal_text(TEXT).encode(), checksum)


def test_the_first_placeholder_is_replaced() -> None:
    sealed = seal(f"{PLACEHOLDER} {PLACEHOLDER}".encode(), b"rest")
    assert sealed.endswith(f"{PLACEHOLDER}rest".encode())
    require_intact(sealed[:-4], sealed[:64].decode(), b"rest")


@pytest.mark.parametrize("position", [0, 6, 12, 20, 80, -1])
def test_every_byte_is_covered(position: int) -> None:
    data = bytearray(seal(TEXT.encode(), b"rest"))
    data[position] ^= 1
    checksum = data[18:82].decode(errors="replace")
    with pytest.raises(ValueError, match="its checksum does not match"):
        require_intact(bytes(data[:-4]), checksum, bytes(data[-4:]))


@pytest.mark.parametrize("checksum", [None, 3, "", "abc", "f" * 64])
def test_a_checksum_that_is_not_there_does_not_match(checksum: object) -> None:
    with pytest.raises(ValueError, match="its checksum does not match"):
        require_intact(seal(TEXT.encode()), checksum)


def test_texts_of_another_length_are_not_replaced() -> None:
    with pytest.raises(ValueError, match="does not match"):
        replace_first(b"abc", "b", "xx")


def test_checksums_of_a_folder_are_read_as_they_were_written(tmp_path: Path) -> None:
    assert read_checksum_file(tmp_path) == {}
    checksums = {"b": "1" * 64, "a b": "2" * 64}
    (tmp_path / CHECKSUM_FILE).write_text(checksum_file_text(checksums))
    assert read_checksum_file(tmp_path) == checksums


def test_a_line_that_is_no_checksum_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / CHECKSUM_FILE
    path.write_text("1234  a\n")
    with pytest.raises(ValueError, match=f"line 1 of {path} is no checksum"):
        read_checksum_file(tmp_path)
