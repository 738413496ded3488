"""A plugin whose methods tests replace with faulty ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from torch import Tensor, nn

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler
from jukebox_cli.model.conditioning import Conditioning

SWITCH = "uninstall it, or switch it off with JUKEBOX_BLOCK=energy"


class Column(nn.Module):
    """A number per song, added at every position."""

    def __init__(self, shape: PriorShape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, energy: Tensor) -> Any:
        size = len(energy), self.shape.context_length, self.shape.width
        return Conditioning(per_token=energy.new_zeros(size))


@dataclass(frozen=True)
class Energy(Conditioner):
    name: ClassVar[str] = "energy"

    @dataclass(frozen=True)
    class Input:
        energy: Annotated[float | None, "How loud."] = None

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {"energy": np.zeros(4, np.float32)}

    def module(self, shape: PriorShape) -> nn.Module:
        return Column(shape)


@dataclass(frozen=True)
class Odd(Sampler):
    """A sampler whose method tests replace."""

    name: ClassVar[str] = "odd"
    odd: Annotated[float | None, "How odd."] = None

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits


@dataclass(frozen=True)
class OddGuidance(GuidanceSampler):
    name: ClassVar[str] = "odd-guidance"
    odd_guidance: Annotated[float | None, "How odd."] = None

    def combine(self, cond_logits: Tensor, uncond_logits: Tensor) -> Tensor:
        return cond_logits


def returning(value: object) -> Callable[..., Any]:
    """A method that returns a value, whatever it is called with."""
    return lambda *arguments, **named: value


def raising(error: Exception) -> Callable[..., Any]:
    """A method that raises an error, whatever it is called with."""

    def method(*arguments: object, **named: object) -> Any:
        raise error

    return method
