"""Tensors of files are those the safetensors library reads, and their memory is freed."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import (
    DTYPES,
    WEIGHT_DTYPES,
    index_tensors,
    load_tensors,
    save_tensors,
    stream_tensors,
)
from support.results import refusal


def every_dtype() -> dict[str, torch.Tensor]:
    """A tensor of every dtype, of odd sizes, so that few are aligned."""
    tensors = {name: torch.arange(3 * 5).view(3, 5).to(kind) for name, kind in DTYPES.items()}
    return {**tensors, "one": torch.tensor(2.5), "none": torch.zeros(0, 4)}


def test_tensors_are_those_of_the_library(tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    save_file(every_dtype(), path, {"format": "1"})
    found, expected = load_tensors(path), load_file(path)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name], tensor)


def test_changing_a_tensor_does_not_change_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(4)}, path)
    before = path.read_bytes()
    load_tensors(path)["a"].fill_(1.0)
    assert path.read_bytes() == before


def test_tensors_are_written_as_the_library_writes_them(tmp_path: Path) -> None:
    tensors = {
        name: tensor for name, tensor in every_dtype().items() if tensor.dtype in WEIGHT_DTYPES
    }
    save_file(tensors, tmp_path / "library")
    stream_tensors(tmp_path / "streamed", {name: t.clone for name, t in tensors.items()})
    found, expected = load_file(tmp_path / "streamed"), load_file(tmp_path / "library")
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_dtypes_that_weights_can_not_have_are_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.safetensors", torch.zeros(2, dtype=torch.int64)
    what = f"can't write {path}: a is int64, which weights can't be"
    hint = "they are float16, bfloat16 or float32"
    assert refusal(stream_tensors, path, {"a": whole.clone}) == (what, hint)
    assert list(tmp_path.iterdir()) == []


def test_unknown_dtypes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(4).to(torch.float8_e4m3fn)}, path)
    known = f"known are {', '.join(DTYPES)}"
    assert refusal(index_tensors, path) == (f"{path}: a is of type F8_E4M3", known)


def test_a_prior_in_another_precision_keeps_nothing_of_its_file_in_memory(
    tiny: Model, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a large one would be in memory twice."""
    alive: set[int] = set()
    count = 0

    class Watched(np.memmap):
        def __new__(cls, *words: Any) -> Any:
            nonlocal count
            mapped = super().__new__(cls, *words)
            count += 1
            alive.add(count)
            weakref.finalize(mapped, alive.discard, count)
            return mapped

    monkeypatch.setattr("jukebox_cli.storage.tensors.np.memmap", Watched)
    prior = load_prior(tiny, 0, registry, torch.device("cpu"), "fp16")
    in_half = [p for p in prior.parameters() if p.dtype == torch.float16]
    assert count >= len(list(prior.parameters()))
    assert len(alive) <= count - len(in_half)  # what is in fp32 anyway may stay where it is


def test_saved_tensors_are_loaded(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3).T, "b": torch.tensor(1.5)}
    save_tensors(tmp_path / "x.safetensors", tensors)
    found = load_tensors(tmp_path / "x.safetensors")
    assert {name: t.tolist() for name, t in found.items()} == {
        name: t.tolist() for name, t in tensors.items()
    }


def test_missing_and_damaged_tensors_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    assert refusal(load_tensors, path) == (f"no file {path}", "is the model complete?")
    save_tensors(path, {"a": torch.zeros(100)})
    for data in (path.read_bytes()[:-1], b"x" * 100, b""):
        path.write_bytes(data)
        message, hint = refusal(load_tensors, path)
        assert message.startswith(f"{path} is damaged: ")
        assert hint == "restore it from a copy"
