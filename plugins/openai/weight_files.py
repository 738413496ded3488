"""Checkpoint files, read one tensor at a time; no code in them is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from jukebox_cli.api import InputError
from jukebox_cli.api.files import corruption_errors, read_json
from jukebox_cli.api.tensors import WEIGHT_DTYPES, StoredTensor, index_tensors

from .pickle_reader import read_pickle

#: Returns a tensor, mapped into memory when it is called.
TensorLoader = Callable[[], Tensor]
#: Loaders by the tensors' names.
TensorLoaders = Mapping[str, TensorLoader]

_INDEX, _BIN_INDEX = "model.safetensors.index.json", "pytorch_model.bin.index.json"


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of one part of a model, and the hyperparameters that it was trained with."""

    tensors: TensorLoaders
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor, or None if there is none of that name."""
        return tuple(self.tensors[name]().shape) if name in self.tensors else None


@dataclass(frozen=True)
class ModelCheckpoints:
    """The checkpoints of a model, with the original program's tensor names.

    priors: level 0 first; empty for a codec alone.
    hop_fraction: how far windows move at each level, level 0 first; empty if not known.
    """

    vqvae: Checkpoint
    priors: tuple[Checkpoint, ...]
    hop_fraction: tuple[float, ...] = ()


@contextmanager
def part_errors(part: str) -> Iterator[None]:
    """Name the part (such as `prior-2`) in errors, and turn the errors of hyperparameters that
    describe no network into an InputError."""
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
    """A .pth.tar of the original program: weights and hyperparameters, without the optimizer."""
    data = read_pickle(path)
    model = data.get("model") if isinstance(data, dict) else None
    if not isinstance(model, dict) or not all(isinstance(v, StoredTensor) for v in model.values()):
        raise InputError(f"{path} holds no model", "name a folder of the original checkpoints")
    hyperparameters = data.get("hps")
    return Checkpoint(  # data-parallel training puts `module.` before every name
        {name.removeprefix("module."): tensor for name, tensor in model.items()},
        hyperparameters if isinstance(hyperparameters, dict) else {},
    )


def load_weights_folder(folder: Path) -> TensorLoaders:
    """The tensors of a folder of safetensors or .bin files, in one file or in shards."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise InputError(f"{folder} holds no weights", "it needs *.safetensors or *.bin files")
    if missing := sorted(_shard_names(folder, files[0].suffix) - {file.name for file in files}):
        raise InputError(f"no file {folder / missing[0]}", "is the download complete?")
    tensors: dict[str, TensorLoader] = {}
    for file in files:
        tensors.update(
            _load_safetensors(file) if file.suffix == ".safetensors" else _load_bin(file)
        )
    return tensors


def _shard_names(folder: Path, suffix: str) -> set[str]:
    """The files that the index of shards names; none if there is no index."""
    path = folder / (_BIN_INDEX if suffix == ".bin" else _INDEX)
    with corruption_errors(path):
        return set(read_json(path)["weight_map"].values()) if path.is_file() else set()


def _load_safetensors(path: Path) -> Mapping[str, StoredTensor]:
    tensors = index_tensors(path, "download it again, or restore it from a copy")
    for name, tensor in tensors.items():
        if tensor.storage.dtype not in WEIGHT_DTYPES:
            dtype = str(tensor.storage.dtype).removeprefix("torch.")
            hint = "weights are float16, bfloat16 or float32"
            raise InputError(f"{path}: {name} is of type {dtype}", hint)
    return tensors


def _load_bin(path: Path) -> Mapping[str, StoredTensor]:
    data = read_pickle(path)
    if not isinstance(data, dict):
        raise InputError(f"{path} holds no model", "name a folder of a model's weights")
    return {name: value for name, value in data.items() if isinstance(value, StoredTensor)}
