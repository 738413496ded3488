"""Files of tensors in the API."""

from __future__ import annotations

from pathlib import Path

import torch

from jukebox_cli.api.tensors import index_tensors, stream_tensors


def test_tensors_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}
    stream_tensors(path, {name: lambda t=tensor: t for name, tensor in tensors.items()})  # type: ignore[misc]
    stored = index_tensors(path)
    assert {name: each.shape for name, each in stored.items()} == {"a": (2, 3), "b": (2,)}
    assert all(torch.equal(stored[name](), tensor) for name, tensor in tensors.items())
