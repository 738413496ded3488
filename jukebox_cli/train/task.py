"""What the training loop trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from jukebox_cli.train.data import BatchSource

Metrics = dict[str, float]


class Task(Protocol):
    """Something that can be trained."""

    #: The stem of its files, such as `vqvae-0` or `prior-2`.
    part: str

    #: Gives what a step learns from.
    source: BatchSource

    @property
    def module(self) -> nn.Module: ...

    def loss(self, step: int, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of step `step` on what the source gave, and what to log of it."""

    def held_out(self) -> Metrics:
        """How well it does on songs it never trains on."""

    def export(self) -> dict[str, Tensor]:
        """The tensors a model needs of it."""
