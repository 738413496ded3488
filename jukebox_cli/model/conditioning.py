"""The tensors that condition a prior, sorted by how they enter it, and how they are combined.

A conditioner's network returns a `Conditioning`; the prior gets the sum of all of them and knows
nothing of the plugins they come from.

Shapes: B batch, T tokens of a window, S memory positions, P prefix positions, V characters of the
prefix's vocabulary, W the prior's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Addable = TypeVar("Addable", Tensor, "Prefix")
ArrayOrTensor = np.ndarray | Tensor


@dataclass(frozen=True)
class Prefix:
    """Characters that precede the music in the prior's sequence and are predicted like it.

    This is the paper's single encoder-decoder (appendix B.2): one transformer reads the lyrics and
    continues with the music, over a joint vocabulary.
    """

    ids: Tensor  # (B, P) int64, below V
    embeddings: Tensor  # (V, W), of the characters
    #: (P,): weight of each character's cross-entropy in the loss; a music token has weight 1.
    loss_weights: Tensor
    #: (V, W): output layer for the characters; None: their embeddings.
    output_weight: Tensor | None = None

    def __add__(self, other: Prefix) -> Prefix:
        """One prefix after the other; each keeps a vocabulary of its own."""
        if (self.output_weight is None) != (other.output_weight is None):
            raise ValueError("either both prefixes or neither must have an output_weight")
        output_weight = None
        if self.output_weight is not None and other.output_weight is not None:
            output_weight = torch.cat([self.output_weight, other.output_weight])
        return Prefix(
            torch.cat([self.ids, other.ids + len(self.embeddings)], dim=1),
            torch.cat([self.embeddings, other.embeddings]),
            torch.cat([self.loss_weights, other.loss_weights]),
            output_weight,
        )

    def rows(self, index: Tensor | slice) -> Prefix:
        """The prefix of some items of the batch, (N,) int64 or a range."""
        return replace(self, ids=self.ids[index])

    def to_dtype(self, dtype: torch.dtype) -> Prefix:
        """The prefix with its floating-point tensors converted."""
        output_weight = None if self.output_weight is None else self.output_weight.to(dtype)
        return replace(
            self,
            embeddings=self.embeddings.to(dtype),
            loss_weights=self.loss_weights.to(dtype),
            output_weight=output_weight,
        )


@dataclass(frozen=True)
class Conditioning:
    """Tensors that condition a prior. All fields are optional; `+` combines two conditioners.

    `start`, `per_token`, `query_encoding` and `loss` are summed; `memory`, `memory_mask`,
    `attention_target` and `prefix` are concatenated along S or P.
    """

    #: (B, W): the first input of the sequence, in place of the embedding of a previous token.
    start: Tensor | None = None
    #: (B, T, W): added to the input at every position of the music.
    per_token: Tensor | None = None
    #: (B, S, W): what cross-attention layers attend to.
    memory: Tensor | None = None
    #: (B, S) bool, True: attend; None: attend to all.
    memory_mask: Tensor | None = None
    #: (B, T, W): added to the input of cross-attention queries.
    query_encoding: Tensor | None = None
    #: (B, T, S): where the first head of each cross-attention layer should attend in training. The
    #: sum over S weighs the position's cross-entropy; a bit of the music has weight 1.
    attention_target: Tensor | None = None
    #: Characters that precede the music.
    prefix: Prefix | None = None
    #: (): an auxiliary training loss, in bits per token of the music.
    loss: Tensor | None = None

    def __add__(self, other: Conditioning) -> Conditioning:
        """The conditions of both. A memory without mask or attention target gets the neutral one
        if the other memory has one."""
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
        """The conditions of one item, with a batch axis of 1 and without an auxiliary loss."""
        return self.rows(slice(item, item + 1))

    def rows(self, index: Tensor | slice) -> Conditioning:
        """The conditions of some items of the batch, (N,) int64 or a range, without an auxiliary
        loss."""
        tensors = {name: getattr(self, name) for name in _BATCHED_FIELDS}
        selected: dict[str, Any] = {
            name: None if t is None else t[index] for name, t in tensors.items()
        }
        prefix = None if self.prefix is None else self.prefix.rows(index)
        return Conditioning(**selected, prefix=prefix)

    def to_dtype(self, dtype: torch.dtype) -> Conditioning:
        """The conditions with everything that meets the prior's activations converted."""
        tensors = {name: getattr(self, name) for name in _ACTIVATION_FIELDS}
        converted: dict[str, Any] = {
            name: None if t is None else t.to(dtype) for name, t in tensors.items()
        }
        prefix = None if self.prefix is None else self.prefix.to_dtype(dtype)
        return replace(self, **converted, prefix=prefix)


#: Fields that are added to or attended by the prior's activations and so share their dtype.
_ACTIVATION_FIELDS = ("start", "per_token", "memory", "query_encoding")

#: Fields with a batch axis.
_BATCHED_FIELDS = (*_ACTIVATION_FIELDS, "memory_mask", "attention_target")


def to_device(array: ArrayOrTensor, device: torch.device | str) -> Tensor:
    """Copy an array to `device`. Asynchronous if its memory is pinned."""
    return torch.as_tensor(array).to(device, non_blocking=True)


def arrays_to_device(
    arrays: Mapping[str, Mapping[str, ArrayOrTensor]], device: torch.device | str
) -> dict[str, dict[str, Tensor]]:
    """Copy the arrays of every conditioner (see `condition_inputs.encode_window`) to `device`."""
    return {
        name: {key: to_device(array, device) for key, array in each.items()}
        for name, each in arrays.items()
    }


def stack_conditionings(items: Sequence[Conditioning]) -> Conditioning:
    """The conditions of single items, each with a batch axis of 1, as those of a batch."""
    columns = {name: [getattr(item, name) for item in items] for name in _BATCHED_FIELDS}
    tensors: dict[str, Any] = {
        name: None if column[0] is None else torch.cat(column) for name, column in columns.items()
    }
    prefixes = [item.prefix for item in items if item.prefix is not None]
    if not prefixes:
        return Conditioning(**tensors)
    ids = torch.cat([prefix.ids for prefix in prefixes])
    return Conditioning(**tensors, prefix=replace(prefixes[0], ids=ids))


def sum_conditionings(conditionings: Iterable[Conditioning]) -> Conditioning:
    """The sum of any number of conditionings; empty for none."""
    return sum(conditionings, Conditioning())


def _add(a: Addable | None, b: Addable | None) -> Addable | None:
    return b if a is None else a if b is None else a + b


def _concatenate(a: Tensor | None, b: Tensor | None, *, dim: int = 1) -> Tensor | None:
    return b if a is None else a if b is None else torch.cat([a, b], dim=dim)


def _fill_missing(
    default: Callable[[Tensor, Tensor], Tensor], *conditionings: Conditioning, field: str
) -> list[Tensor | None]:
    """Values of `field` for each memory. If only some have it, the others get
    `default(memory, known)` with one of the known values."""
    values: list[Tensor | None] = [getattr(each, field) for each in conditionings]
    known = next((value for value in values if value is not None), None)
    if known is None:
        return values
    return [
        default(each.memory, known) if each.memory is not None and value is None else value
        for each, value in zip(conditionings, values, strict=True)
    ]


def _full_mask(memory: Tensor, known: Tensor) -> Tensor:
    """The mask (B, S) of a memory that may be attended everywhere."""
    return torch.ones_like(memory[..., 0], dtype=torch.bool)


def _no_attention_target(memory: Tensor, known: Tensor) -> Tensor:
    """The all-zero attention target (B, T, S) of a memory that comes without one."""
    return known.new_zeros(*known.shape[:2], memory.shape[1])
