"""The interface between the training loop and the networks that it trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.train.data import BatchSource

#: Figures by name, as they are logged.
Metrics = dict[str, float]


class StageLoss(NamedTuple):
    """What one update of the weights minimises, and figures to log, all of shape ()."""

    loss: Tensor
    metrics: Mapping[str, Tensor]
    prefix: str = ""  # of the name of the gradient's norm in the log


class Task(Protocol):
    """A network with its training data and its loss."""

    #: The name of the network and of its checkpoint, such as `vqvae-0`, `prior-2` or `decoder-0`.
    component: str

    @property
    def exported_part(self) -> str:
        """The part of the model whose file gets the weights: `vqvae-0` for `decoder-0`."""

    #: Gives the training batch of each step.
    batch_source: BatchSource

    @property
    def module(self) -> nn.Module:
        """The network; the optimizer updates those parameters that require a gradient."""

    def losses(self, step: int, batch: Any) -> Iterator[StageLoss]:
        """The losses of a batch, one after the other: after each, the optimizer updates those
        parameters that it gave a gradient. `step` counts from 0. The last one is the loss that is
        logged."""

    def evaluate(self) -> Metrics:
        """Metrics on held-out songs; empty if no songs are held out."""

    def export(self) -> dict[str, Tensor]:
        """The weights as they are stored with the model, by tensor name."""

    def exported_config(self, config: ModelConfig) -> ModelConfig:
        """The model's config for the exported weights."""


class OneLossTask:
    """A base of tasks with one loss for all parameters, which don't change the model's config."""

    component: str

    @property
    def exported_part(self) -> str:
        return self.component

    def loss(self, step: int, batch: Any) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch and figures to log, all of shape (). `step` counts from 0."""
        raise NotImplementedError

    def losses(self, step: int, batch: Any) -> Iterator[StageLoss]:
        """As `Task.losses`."""
        yield StageLoss(*self.loss(step, batch))

    def exported_config(self, config: ModelConfig) -> ModelConfig:
        """As `Task.exported_config`."""
        return config
