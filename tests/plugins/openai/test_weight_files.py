"""Weights in several files, and files without any."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from support.originals import (
    write_port,
)
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


def test_a_checkpoint_without_a_model_is_an_error(checkpoints: Path, refused: Refused) -> None:
    torch.save({"step": 3}, checkpoints / "prior_level_0.pth.tar")
    hint = "name a folder of the original checkpoints"
    refused(error="checkpoints/prior_level_0.pth.tar holds no model", hint=hint)


def test_missing_weights_of_the_port_are_errors(refused: Refused) -> None:
    folder = write_port()
    error, hint = "port holds no weights", "it needs *.safetensors or *.bin files"
    refused("port", error=error, hint=hint)
    save_file({"a": torch.zeros(2)}, folder / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    error, hint = "no file port/model-2.safetensors", "is the download complete?"
    refused("port", error=error, hint=hint)
    (folder / "model-2.safetensors").write_bytes(b"half")
    hint = "download it again, or restore it from a copy"
    refused("port", error="port/model-2.safetensors is damaged: it is cut off", hint=hint)
    save_file({"b": torch.zeros(2, dtype=torch.int64)}, folder / "model-2.safetensors")
    error = "port/model-2.safetensors: b is of type int64"
    refused("port", error=error, hint="weights are float16, bfloat16 or float32")


def test_a_bin_file_without_a_model_is_an_error(refused: Refused) -> None:
    torch.save([1, 2], write_port() / "pytorch_model.bin")
    error, hint = "port/pytorch_model.bin holds no model", "name a folder of a model's weights"
    refused("port", error=error, hint=hint)
