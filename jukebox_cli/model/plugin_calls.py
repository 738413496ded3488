"""Calls of a conditioner's `encode`, `module` and `forward`, with what they return checked.

Shapes: B batch, T tokens of a window, S memory positions, P prefix positions, V characters of a
prefix, W the prior's width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.contract import method_error, plugin_errors

if TYPE_CHECKING:
    from torch import Tensor, nn

    from jukebox_cli.model.conditioning import Conditioning

#: Kinds of dtypes that arrays can have: bool, integers, floats.
DTYPE_KINDS = "biuf"

Arrays = Mapping[str, np.ndarray]
Shape = tuple["int | str", ...]


def encode_song(
    conditioner: Conditioner, song: Song, window: Window, shape: PriorShape
) -> dict[str, np.ndarray]:
    """The arrays of a conditioner for one window of a song. PluginError if these are not arrays."""
    with plugin_errors(conditioner, "encode"):
        arrays = conditioner.encode(song, window, shape)
    if not isinstance(arrays, dict) or not all(isinstance(key, str) for key in arrays):
        keys = " with keys that are no names" if isinstance(arrays, dict) else ""
        what = f"returned {_describe(arrays)}{keys}, not a dict of numpy arrays"
        raise method_error(conditioner, "encode", what)
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in DTYPE_KINDS:
            what = f"returned {_describe(array)} as '{key}', not a numpy array of numbers"
            raise method_error(conditioner, "encode", what)
    return arrays


def require_same_shapes(conditioner: Conditioner, expected: Arrays, arrays: Arrays) -> None:
    """PluginError if the arrays of a window differ from those of another in key, shape or dtype."""
    if arrays.keys() != expected.keys():
        keys, others = (", ".join(sorted(each)) or "none" for each in (arrays, expected))
        what = f"returned the arrays {keys} for one window and {others} for another"
        raise method_error(conditioner, "encode", what)
    for key, array in arrays.items():
        other = expected[key]
        if array.shape != other.shape:
            what = f"returned '{key}' of shape {array.shape} for one window and {other.shape}"
            raise method_error(conditioner, "encode", f"{what} for another")
        if array.dtype != other.dtype:
            what = f"returned '{key}' of dtype {array.dtype} for one window and {other.dtype}"
            raise method_error(conditioner, "encode", f"{what} for another")


def stack_songs(conditioner: Conditioner, songs: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The arrays of several songs with a batch axis in front. PluginError if they differ."""
    for arrays in songs[1:]:
        require_same_shapes(conditioner, songs[0], arrays)
    return {key: np.stack([arrays[key] for arrays in songs]) for key in songs[0]}


def make_module(conditioner: Conditioner, shape: PriorShape) -> nn.Module:
    """The network of a conditioner. PluginError if it is none."""
    from torch import nn

    with plugin_errors(conditioner, "module"):
        module = conditioner.module(shape)
    if not isinstance(module, nn.Module):
        what = f"returned {_describe(module)}, not a torch.nn.Module"
        raise method_error(conditioner, "module", what)
    return module


def run_module(
    name: str, module: nn.Module, arrays: Mapping[str, Tensor], length: int, width: int
) -> Conditioning:
    """What the network of the conditioner `name` returns for arrays with a batch axis.

    PluginError if it is no Conditioning for windows of T = `length` and W = `width`.
    """
    from jukebox_cli.model.conditioning import Conditioning

    with plugin_errors(module, "forward", name):
        conditioning = module(**arrays)
    if not isinstance(conditioning, Conditioning):
        what = f"returned {_describe(conditioning)}, not a Conditioning"
        raise method_error(module, "forward", what, name)
    batch: int | str = next((len(array) for array in arrays.values()), "B")
    for part, shape, expected in _shapes(conditioning, batch, length, width):
        if not _matches(shape, expected):
            wanted = f"({', '.join(map(str, expected))}{',' if len(expected) == 1 else ''})"
            what = f"returned {part} of shape {tuple(shape)}, not {wanted}"
            raise method_error(module, "forward", what, name)
    return conditioning


def _shapes(
    conditioning: Conditioning, batch: int | str, length: int, width: int
) -> Iterator[tuple[str, Sequence[int], Shape]]:
    """Name, shape and expected shape of each tensor of a Conditioning; letters stand for any."""
    memory, prefix = conditioning.memory, conditioning.prefix
    memory_length: int | str = "S" if memory is None or memory.ndim != 3 else memory.shape[1]
    expected: dict[str, Shape] = {
        "start": (batch, width),
        "per_token": (batch, length, width),
        "memory": (batch, memory_length, width),
        "memory_mask": (batch, memory_length),
        "query_encoding": (batch, length, width),
        "attention_target": (batch, length, memory_length),
        "loss": (),
    }
    for part, shape in expected.items():
        if (tensor := getattr(conditioning, part)) is not None:
            yield part, tensor.shape, shape
    if prefix is not None:
        yield "prefix.ids", prefix.ids.shape, (batch, "P")
        yield "prefix.embeddings", prefix.embeddings.shape, ("V", width)
        yield "prefix.loss_weights", prefix.loss_weights.shape, (prefix.ids.shape[-1],)


def _matches(shape: Sequence[int], expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        isinstance(want, str) or size == want for size, want in zip(shape, expected, strict=True)
    )


def _describe(value: object) -> str:
    """`None`, `a list`, `an array of dtype object`."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        return f"an array of dtype {value.dtype}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
