"""The interface between the training loop and the networks that it trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from jukebox_cli.train.data import BatchSource

#: Figures by name, as they are logged.
Metrics = dict[str, float]


class Task(Protocol):
    """A network with its training data and its loss."""

    #: The name of the network and of its files, such as `vqvae-0` or `prior-2`.
    component: str

    #: Gives the training batch of each step.
    batch_source: BatchSource

    @property
    def module(self) -> nn.Module:
        """The network; the optimizer updates those parameters that require a gradient."""

    def loss(self, step: int, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch and figures to log, all of shape (). `step` counts from 0."""

    def evaluate(self) -> Metrics:
        """Metrics on held-out songs; empty if no songs are held out."""

    def export(self) -> dict[str, Tensor]:
        """The weights as they are stored with the model, by tensor name."""
