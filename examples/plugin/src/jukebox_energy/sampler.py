"""The sampler: tokens that were drawn recently become less likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from jukebox_cli.api import Sampler

if TYPE_CHECKING:
    from torch import Tensor

#: How many tokens count as recent.
NUM_RECENT = 16


@dataclass(frozen=True)
class Fresh(Sampler):
    """Subtracts `fresh` from the logits of the last 16 tokens, however often they occurred."""

    name: ClassVar[str] = "fresh"
    order: ClassVar[int] = 5  # before the temperature
    fresh: Annotated[float | None, "Make the last 16 tokens less likely; 1 is a little."] = None

    def __post_init__(self) -> None:
        if self.fresh is not None and not 0 <= self.fresh <= 100:  # NaN is not in a range either
            raise ValueError("must be from 0 to 100", "try 1")

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        import torch

        recent = history[:, -NUM_RECENT:]  # (B, t), t up to 16
        penalty = torch.zeros_like(logits).scatter(1, recent, float(self.fresh or 0))
        return logits - penalty
