"""How conditions reach a prior, sorted by what they do to it, and parts plugins are made of.

Shapes: B batch, T tokens of a window, S memory positions, P prefix positions, V letters that a
prefix is written in, W the prior's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Addable = TypeVar("Addable", Tensor, "Prefix")


@dataclass(frozen=True)
class Prefix:
    """What goes before the sequence, in letters of its own, and is predicted as the sequence is.

    The single encoder-decoder of the paper (appendix B.2): one transformer reads the letters and
    goes on with the music, over one vocabulary.

    loss_weights: how much the prediction of a letter counts in training, where that of a token counts 1.
    output_weight: what the output layer has for the letters, where it is not their embeddings.
    """

    ids: Tensor  # int64 (B, P)
    embeddings: Tensor  # (V, W), their embeddings
    loss_weights: Tensor  # (P,)
    output_weight: Tensor | None = None  # (V, W)

    def __add__(self, other: Prefix) -> Prefix:
        if (self.output_weight is None) != (other.output_weight is None):
            raise ValueError("both prefixes of a prior or none must have an output layer")
        out = None
        if self.output_weight is not None and other.output_weight is not None:
            out = torch.cat([self.output_weight, other.output_weight])
        return Prefix(
            torch.cat([self.ids, other.ids + len(self.embeddings)], dim=1),
            torch.cat([self.embeddings, other.embeddings]),
            torch.cat([self.loss_weights, other.loss_weights]),
            out,
        )

    def item(self, item: int) -> Prefix:
        return replace(self, ids=self.ids[item : item + 1])

    def to_dtype(self, kind: torch.dtype) -> Prefix:
        out = None if self.output_weight is None else self.output_weight.to(kind)
        return replace(
            self,
            embeddings=self.embeddings.to(kind),
            loss_weights=self.loss_weights.to(kind),
            output_weight=out,
        )


@dataclass(frozen=True)
class Conditioning:
    """Tensors that steer a prior; a prior knows these and no plugin. Joined with `+`.

    start: added up, the first input of the sequence, in place of a token before it.
    per_token: added up, joins the input at every position.
    memory, memory_mask: laid end to end, what encoder-decoder attention looks at (True: look).
    query_encoding: added up, joins what each position asks a memory with.
    attention_target: in training, where the first head of a layer is to look from each position: shares
        of what that counts, where a bit of the music counts 1; it pays their cross-entropy.
    prefix: laid end to end, goes before the sequence.
    loss: an auxiliary loss to train with, in bits per token of the music, added up.
    """

    start: Tensor | None = None  # (B, W)
    per_token: Tensor | None = None  # (B, T, W)
    memory: Tensor | None = None  # (B, S, W)
    memory_mask: Tensor | None = None  # (B, S), bool
    query_encoding: Tensor | None = None  # (B, T, W)
    attention_target: Tensor | None = None  # (B, T, S)
    prefix: Prefix | None = None
    loss: Tensor | None = None  # ()

    def __add__(self, other: Conditioning) -> Conditioning:
        return Conditioning(
            start=_add(self.start, other.start),
            per_token=_add(self.per_token, other.per_token),
            memory=_concatenate(self.memory, other.memory),
            memory_mask=_concatenate(*_fill_missing(_full_mask, self, other, field="memory_mask")),
            query_encoding=_add(self.query_encoding, other.query_encoding),
            attention_target=_concatenate(
                *_fill_missing(_no_attention_target, self, other, field="attention_target"), dim=2
            ),
            prefix=_add(self.prefix, other.prefix),
            loss=_add(self.loss, other.loss),
        )

    def item(self, item: int) -> Conditioning:
        """The conditions of one item of the batch, still with a batch axis."""
        tensors = {name: getattr(self, name) for name in _TENSORS}
        rows: dict[str, Any] = {
            n: None if t is None else t[item : item + 1] for n, t in tensors.items()
        }
        return Conditioning(**rows, prefix=None if self.prefix is None else self.prefix.item(item))

    def to_dtype(self, kind: torch.dtype) -> Conditioning:
        """What joins the prior, in the precision of its weights."""
        named = {name: getattr(self, name) for name in _JOINING}
        cast: dict[str, Any] = {n: None if t is None else t.to(kind) for n, t in named.items()}
        return replace(
            self, **cast, prefix=None if self.prefix is None else self.prefix.to_dtype(kind)
        )


_JOINING = ("start", "per_token", "memory", "query_encoding")


_TENSORS = (*_JOINING, "memory_mask", "attention_target")


ArrayOrTensor = np.ndarray | Tensor


def to_device(numbers: ArrayOrTensor, device: torch.device | str) -> Tensor:
    """Them on a device; nobody waits for what comes from pinned memory."""
    return torch.as_tensor(numbers).to(device, non_blocking=True)


def arrays_to_device(
    arrays: Mapping[str, Mapping[str, ArrayOrTensor]], device: torch.device | str
) -> dict[str, dict[str, Tensor]]:
    """What conditioners made of a window, on a device."""
    return {
        name: {key: to_device(array, device) for key, array in each.items()}
        for name, each in arrays.items()
    }


def stack_conditionings(items: Sequence[Conditioning]) -> Conditioning:
    """The conditions of single items as those of a batch."""
    columns = {name: [getattr(item, name) for item in items] for name in _TENSORS}
    tensors: dict[str, Any] = {
        n: None if c[0] is None else torch.cat(c) for n, c in columns.items()
    }
    prefixes = [item.prefix for item in items if item.prefix is not None]
    if not prefixes:
        return Conditioning(**tensors)
    ids = torch.cat([prefix.ids for prefix in prefixes])
    return Conditioning(**tensors, prefix=replace(prefixes[0], ids=ids))


def sum_conditionings(conditions: Iterable[Conditioning]) -> Conditioning:
    return sum(conditions, Conditioning())


def _add(a: Addable | None, b: Addable | None) -> Addable | None:
    return b if a is None else a if b is None else a + b


def _fill_missing(
    default: Callable[[Tensor, Tensor], Tensor], *both: Conditioning, field: str
) -> list[Tensor | None]:
    """What two memories have, where one has some: the other, what is usual."""
    own: list[Tensor | None] = [getattr(each, field) for each in both]
    known = next((tensor for tensor in own if tensor is not None), None)
    if known is None:
        return own
    return [
        default(each.memory, known) if each.memory is not None and mine is None else mine
        for each, mine in zip(both, own, strict=True)
    ]


def _full_mask(memory: Tensor, known: Tensor) -> Tensor:
    """The mask of a memory that has none."""
    return torch.ones_like(memory[..., 0], dtype=torch.bool)


def _no_attention_target(memory: Tensor, known: Tensor) -> Tensor:
    """The guide to a memory that has none: it leads elsewhere."""
    return known.new_zeros(*known.shape[:2], memory.shape[1])


def _concatenate(a: Tensor | None, b: Tensor | None, *, dim: int = 1) -> Tensor | None:
    return b if a is None else a if b is None else torch.cat([a, b], dim=dim)
