"""Checkpoint files, read tensor by tensor; nothing in them is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from jukebox_cli.api import InputError
from jukebox_cli.storage.files import corruption_errors, read_json
from jukebox_cli.storage.tensors import WEIGHT_DTYPES, StoredTensor, index_tensors

from .pickle_reader import read_pickle

#: How to get a tensor, by name.
Tensors = Mapping[str, Callable[[], Tensor]]


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one part of a model, and the settings that it was trained with."""

    tensors: Tensors
    settings: Mapping[str, Any] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor; None if there is none of that name."""
        return tuple(self.tensors[name]().shape) if name in self.tensors else None


@dataclass(frozen=True)
class Parts:
    """The checkpoints of a model, in the original program's names; priors level 0 first.

    hops: how far windows move at each level, level 0 first, where that is said.
    """

    vqvae: Checkpoint
    priors: tuple[Checkpoint, ...]
    hops: tuple[float, ...] = ()


@contextmanager
def about(part: str) -> Iterator[None]:
    """Says which part an error is about, and that settings that describe no network are one."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{part}: {error.message}", error.hint) from None
    except (
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        what = f"{part}: its settings describe no network: {reason}"
        raise InputError(what, "are these files of one model, and complete?") from None


def load_original(path: Path) -> Checkpoint:
    """A .pth.tar of the original program: weights and settings; the optimizer is left out."""
    data = read_pickle(path)
    model = data.get("model") if isinstance(data, dict) else None
    if not isinstance(model, dict) or not all(isinstance(v, StoredTensor) for v in model.values()):
        raise InputError(f"{path} holds no model", "name a folder of the original checkpoints")
    settings = data.get("hps")
    return Checkpoint(
        {name.removeprefix("module."): tensor for name, tensor in model.items()},
        settings if isinstance(settings, dict) else {},
    )


def folder_of_weights(folder: Path) -> Tensors:
    """The tensors of a folder of safetensors or .bin files, in one piece or in shards."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise InputError(f"{folder} holds no weights", "it needs *.safetensors or *.bin files")
    if missing := sorted(_shards(folder, files[0].suffix) - {file.name for file in files}):
        raise InputError(f"no file {folder / missing[0]}", "is the download complete?")
    tensors: dict[str, Callable[[], Tensor]] = {}
    for file in files:
        tensors.update(_safetensors(file) if file.suffix == ".safetensors" else _bin(file))
    return tensors


def _shards(folder: Path, suffix: str) -> set[str]:
    """The files that an index names; none where the weights are in one piece."""
    path = folder / {".bin": _BIN_INDEX}.get(suffix, _INDEX)
    with corruption_errors(path):
        return set(read_json(path)["weight_map"].values()) if path.is_file() else set()


_INDEX, _BIN_INDEX = "model.safetensors.index.json", "pytorch_model.bin.index.json"


def _safetensors(path: Path) -> Mapping[str, StoredTensor]:
    tensors = index_tensors(path, "download it again, or restore it from a copy")
    for name, tensor in tensors.items():
        if tensor.storage.dtype not in WEIGHT_DTYPES:
            kind = str(tensor.storage.dtype).removeprefix("torch.")
            hint = "weights are float16, bfloat16 or float32"
            raise InputError(f"{path}: {name} is of type {kind}", hint)
    return tensors


def _bin(path: Path) -> Mapping[str, StoredTensor]:
    data = read_pickle(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no model", "name a folder of a model's weights")
    return {name: value for name, value in data.items() if isinstance(value, StoredTensor)}
