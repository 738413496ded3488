"""How conditions reach a prior, sorted by what they do to it, and parts plugins are made of.

Shapes: B batch, T tokens of a window, S memory positions, P prefix positions, W the prior's width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Conditioning:
    """Tensors that steer a prior; a prior knows these and no plugin. Joined with `+`.

    start: added up, the first input of the sequence, in place of a token before it.
    frames: added up, joins the input at every position.
    memory, memory_mask: laid end to end, what encoder-decoder attention looks at (True: look).
    prefix: laid end to end, goes before the sequence.
    loss: an auxiliary loss to train with, added up.
    """

    start: Tensor | None = None  # (B, W)
    frames: Tensor | None = None  # (B, T, W)
    memory: Tensor | None = None  # (B, S, W)
    memory_mask: Tensor | None = None  # (B, S), bool
    prefix: Tensor | None = None  # (B, P, W)
    loss: Tensor | None = None  # ()

    def __add__(self, other: Conditioning) -> Conditioning:
        return Conditioning(
            start=_total(self.start, other.start),
            frames=_total(self.frames, other.frames),
            memory=_joined(self.memory, other.memory),
            memory_mask=_joined(self.memory_mask, other.memory_mask),
            prefix=_joined(self.prefix, other.prefix),
            loss=_total(self.loss, other.loss),
        )

    def row(self, item: int) -> Conditioning:
        """The conditions of one item of the batch, still with a batch axis."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "loss"}
        return Conditioning(
            **{k: None if v is None else v[item : item + 1] for k, v in values.items()}
        )


def stack(items: Sequence[Conditioning]) -> Conditioning:
    """The conditions of single items as those of a batch."""
    names = [f.name for f in fields(Conditioning) if f.name != "loss"]
    columns = {n: [getattr(item, n) for item in items] for n in names}
    return Conditioning(**{n: None if c[0] is None else torch.cat(c) for n, c in columns.items()})


def join(conditions: Iterable[Conditioning]) -> Conditioning:
    return sum(conditions, Conditioning())


def _total(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _joined(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else torch.cat([a, b], dim=1)


class StartEmbedding(nn.Module):
    """Ids (B, n) -> `start`: the sum of their embeddings; -1 is an empty slot."""

    def __init__(self, bins: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(bins, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, ids: Tensor) -> Conditioning:
        slots = self.embedding(ids.clamp_min(0)) * (ids >= 0).unsqueeze(-1)  # (B, n, W)
        return Conditioning(start=slots.sum(dim=1))


class RangeEmbedding(nn.Module):
    """A number in low .. high -> an embedding of the bin it falls into; outside it is clamped."""

    def __init__(self, bins: int, low: float, high: float, width: int) -> None:
        super().__init__()
        self.bins, self.low, self.high = bins, low, high
        self.embedding = nn.Embedding(bins, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, value: Tensor) -> Tensor:  # (B, T) -> (B, T, W)
        share = (value - self.low) / (self.high - self.low)
        bins = (share * self.bins).floor().long().clamp(0, self.bins - 1)
        out: Tensor = self.embedding(bins)
        return out
