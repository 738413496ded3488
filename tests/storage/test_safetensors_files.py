"""Headers of safetensors files: what they claim is compared with the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from jukebox_cli.storage.safetensors_files import TensorEntry, header_bytes, read_header

A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
B = {"dtype": "U8", "shape": [3], "data_offsets": [8, 11]}


def write(path: Path, entries: object, num_bytes: int = 11) -> Path:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(num_bytes))
    return path


def test_a_header_is_read_as_it_was_written(tmp_path: Path) -> None:
    head = header_bytes({"__metadata__": {"x": "1"}, "b": B, "a": A})
    (tmp_path / "x").write_bytes(head + bytes(11))
    found = read_header(tmp_path / "x")
    assert found.text == head
    assert len(head) % 8 == 0
    assert found.metadata == {"x": "1"}
    assert list(found.tensors) == ["a", "b"]
    assert found.tensors["b"] == TensorEntry("U8", (3,), len(head) + 8, len(head) + 11)


def test_files_of_the_library_are_read(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(2, 3), "none": torch.zeros(0, 4), "one": torch.tensor(1)}
    save_file(tensors, tmp_path / "x", {"k": "v"})
    found = read_header(tmp_path / "x")
    assert {name: entry.shape for name, entry in found.tensors.items()} == {
        "a": (2, 3),
        "none": (0, 4),
        "one": (),
    }
    assert found.metadata == {"k": "v"}


def changed(**changes: Any) -> dict[str, Any]:
    return {"a": {**A, **changes}, "b": B}


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        (b"{", "its header is not JSON"),
        (b"[" * 100_000, "its header is not JSON"),
        (b"\xff", "its header is not JSON"),
        ([], "its header is not a mapping"),
        ({"__metadata__": [], "a": A, "b": B}, "its metadata is not text"),
        ({"__metadata__": {"x": 1}, "a": A, "b": B}, "its metadata is not text"),
        ({"a": [], "b": B}, "the entry of a is not dtype, shape and data_offsets"),
        ({"a": {"dtype": "F32"}, "b": B}, "the entry of a is not dtype, shape and data_offsets"),
        (changed(dtype="X"), "a has an unknown dtype"),
        (changed(dtype=[]), "a has an unknown dtype"),
        (changed(shape=[3]), "a has impossible sizes"),
        (changed(shape=[-2]), "a has impossible sizes"),
        (changed(shape=[2.0]), "a has impossible sizes"),
        (changed(shape=[True, 2]), "a has impossible sizes"),
        (changed(shape=[2**62, 2**62]), "a has impossible sizes"),
        (changed(shape=[1] * 17), "a has impossible sizes"),
        (changed(shape=None), "a has impossible sizes"),
        (changed(data_offsets=[0]), "a has impossible sizes"),
        (changed(data_offsets=[8, 0]), "a has impossible sizes"),
        ({"a": A}, "it is longer than its tensors"),
        ({"b": B}, "b is not where the tensor before it ends"),
        ({"a": A, "b": B, "c": A}, "c is not where the tensor before it ends"),
    ],
)
def test_what_a_header_claims_is_not_believed(
    entries: object, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=problem):
        read_header(write(tmp_path / "x", entries))


@pytest.mark.parametrize(
    "data", [b"", b"\1", b"\xff" * 8, (100).to_bytes(8, "little") + b"{}", b"\xff" * 100]
)
def test_a_length_that_is_not_there_is_an_error(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match="it is cut off"):
        read_header(tmp_path / "x")


def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it is cut off"):
        read_header(write(tmp_path / "x", {"a": A, "b": B}, 10))


def test_a_header_is_not_read_if_it_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(100_000_100)
    with pytest.raises(ValueError, match="its header is too long"):
        read_header(path)
