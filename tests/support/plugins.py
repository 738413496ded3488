"""Small plugins for tests of the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar

import numpy as np
from torch import Tensor, nn

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.interfaces.sampler import Sampler


class Plain(Conditioner):
    """A conditioner without conditions, as a base class."""

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {}

    def module(self, shape: PriorShape) -> nn.Module:
        return nn.Identity()


@dataclass(frozen=True)
class Mood(Plain):
    name: ClassVar[str] = "mood"
    most: int = 3
    names: tuple[str, ...] = ()

    @dataclass(frozen=True)
    class Input:
        mood: Annotated[str | None, "How it feels."] = None

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError("most must be 1 or more")


@dataclass(frozen=True)
class Noise(Sampler):
    name: ClassVar[str] = "noise"
    order: ClassVar[int] = 15
    noise: Annotated[float | None, "How much."] = None

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits


def plugin_with(*kinds: type) -> SimpleNamespace:
    """A plugin with these classes."""
    conditioners = [k for k in kinds if issubclass(k, Conditioner)]
    samplers = [k for k in kinds if issubclass(k, Sampler)]
    return SimpleNamespace(
        jukebox_conditioners=hookimpl(lambda: conditioners),
        jukebox_samplers=hookimpl(lambda: samplers),
    )


def plugin_of(**functions: Callable[..., Any]) -> SimpleNamespace:
    """A plugin with these hooks."""
    return SimpleNamespace(**{name: hookimpl(f) for name, f in functions.items()})


def block_hint(name: str) -> str:
    return f"uninstall it, or switch it off with JUKEBOX_BLOCK={name}"
