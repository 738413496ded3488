"""Tensors of files are those the safetensors library reads, and memory is given back."""

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
    stream_tensors,
)
from support.results import refusal


def every_kind() -> dict[str, torch.Tensor]:
    """A tensor of every type, of odd sizes, so that few begin where numbers of theirs would."""
    tensors = {name: torch.arange(3 * 5).view(3, 5).to(kind) for name, kind in DTYPES.items()}
    return {**tensors, "one": torch.tensor(2.5), "none": torch.zeros(0, 4)}


def test_tensors_are_those_that_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    save_file(every_kind(), path, {"format": "1"})
    found, wanted = load_tensors(path), load_file(path)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name], tensor)


def test_what_is_written_to_a_tensor_does_not_reach_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(4)}, path)
    before = path.read_bytes()
    load_tensors(path)["a"].fill_(1.0)
    assert path.read_bytes() == before


def test_tensors_are_written_as_the_library_writes_them(tmp_path: Path) -> None:
    tensors = {
        name: tensor for name, tensor in every_kind().items() if tensor.dtype in WEIGHT_DTYPES
    }
    save_file(tensors, tmp_path / "theirs")
    stream_tensors(tmp_path / "ours", {name: t.clone for name, t in tensors.items()})
    found, wanted = load_file(tmp_path / "ours"), load_file(tmp_path / "theirs")
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_numbers_that_weights_can_not_be_are_told_and_nothing_is_written(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.safetensors", torch.zeros(2, dtype=torch.int64)
    what = f"can't write {path}: a is int64, which weights can't be"
    hint = "they are float16, bfloat16 or float32"
    assert refusal(stream_tensors, path, {"a": whole.clone}) == (what, hint)
    assert list(tmp_path.iterdir()) == []


def test_a_type_that_is_not_known_is_told(tmp_path: Path) -> None:
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

    class Watched(np.memmap):  # type: ignore[type-arg]
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
