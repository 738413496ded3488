"""What the engines have in common: an engine samples a window, position after position.

`model.prior.Prior.step` is the reference that defines the logits of a position. The torch engine
calls it; on a GPU a step is recorded as a CUDA graph, of fused kernels where these can run. The
native engine computes the same up to rounding.

Shapes: B batch, R rows of conditions (B, or with guidance 2B), T tokens of a window, K codes of the
codebook, V characters of the prefix's vocabulary.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from jukebox_cli.engine.fused_step import arrange_weights, is_fused
from jukebox_cli.engine.step import StepFactory, make_step
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.prior import Prior


class EngineWindow(Protocol):
    """One window of a batch: its conditions, and the keys and values of its positions so far.

    That of an engine that draws tokens itself is a `SamplingWindow` too.
    """

    @property
    def next_position(self) -> int:
        """The first position whose keys and values are not there yet."""

    def logits(self, position: int) -> Tensor:
        """Logits (R, K + V) of the next position, which is `position`. The token before it is read
        from the window's tokens. The next call may overwrite the result."""


@runtime_checkable
class SamplingWindow(EngineWindow, Protocol):
    """A window that draws the tokens of many positions in one call."""

    def sample(
        self,
        first: int,
        end: int,
        sample_from: Tensor,
        uniform: Tensor,
        parameters: SamplingParameters,
    ) -> int:
        """Samples positions `first` to `end` - 1 into the window's tokens, of each item from
        position `sample_from` (B,) on, with the numbers `uniform` (B, end - first).

        Returns `end`, or the first position whose logits are invalid.
        """


class Engine(Protocol):
    """The weights of a prior, and how its positions are computed."""

    def open_window(
        self, conditions: Conditioning, tokens: Tensor, rows: int, num_primed: int, num_known: int
    ) -> EngineWindow:
        """A window after its prompt, tokens[:, :num_primed].

        It keeps `tokens` (B, T) int64, of which `num_known` are known; it may go on after those at
        once, if it computes them as if it had sampled them, to the bit. `rows`: those of the
        conditions.
        """


class TorchEngine:
    """`Prior.step`, position by position.

    step_factory: makes the steps of a window.
    """

    def __init__(self, prior: Prior, step_factory: StepFactory = make_step) -> None:
        self.prior, self.step_factory = prior, step_factory
        if is_fused(prior):
            arrange_weights(prior)

    def open_window(
        self, conditions: Conditioning, tokens: Tensor, rows: int, num_primed: int, num_known: int
    ) -> EngineWindow:
        return TorchWindow(self.prior, self.step_factory, conditions, tokens, rows, num_primed)


class TorchWindow:
    """A window of the torch engine. What follows the prompt is stepped through, even if it is
    known: prefilling rounds differently."""

    def __init__(
        self,
        prior: Prior,
        step_factory: StepFactory,
        conditions: Conditioning,
        tokens: Tensor,
        rows: int,
        num_primed: int,
    ) -> None:
        self.tokens, self.copies, self.next_position = tokens, rows // len(tokens), num_primed
        caches = prior.make_caches(rows, conditions)
        prior.prefill(self._for_all_rows(tokens[:, :num_primed]), conditions, caches)
        self.step = step_factory(prior, conditions, caches)

    def logits(self, position: int) -> Tensor:
        self.next_position = position + 1
        return self.step(self._for_all_rows(self.tokens[:, position - 1]), position)

    def _for_all_rows(self, tokens: Tensor) -> Tensor:
        """Tokens (B, ...) as (R, ...)."""
        return torch.cat([tokens] * self.copies) if self.copies > 1 else tokens
