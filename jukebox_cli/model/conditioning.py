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

    share: how much the prediction of a letter counts in training, where that of a token counts 1.
    out: what the output layer has for the letters, where it is not their embeddings.
    """

    ids: Tensor  # int64 (B, P)
    letters: Tensor  # (V, W), their embeddings
    share: Tensor  # (P,)
    out: Tensor | None = None  # (V, W)

    def __add__(self, other: Prefix) -> Prefix:
        if (self.out is None) != (other.out is None):
            raise ValueError("both prefixes of a prior or none must have an output layer")
        out = None
        if self.out is not None and other.out is not None:
            out = torch.cat([self.out, other.out])
        return Prefix(
            torch.cat([self.ids, other.ids + len(self.letters)], dim=1),
            torch.cat([self.letters, other.letters]),
            torch.cat([self.share, other.share]),
            out,
        )

    def row(self, item: int) -> Prefix:
        return replace(self, ids=self.ids[item : item + 1])

    def astype(self, kind: torch.dtype) -> Prefix:
        out = None if self.out is None else self.out.to(kind)
        return replace(self, letters=self.letters.to(kind), share=self.share.to(kind), out=out)


@dataclass(frozen=True)
class Conditioning:
    """Tensors that steer a prior; a prior knows these and no plugin. Joined with `+`.

    start: added up, the first input of the sequence, in place of a token before it.
    frames: added up, joins the input at every position.
    memory, memory_mask: laid end to end, what encoder-decoder attention looks at (True: look).
    memory_places: added up, joins what each position asks a memory with.
    memory_guide: in training, where the first head of a layer is to look from each position: shares
        of what that counts, where a bit of the music counts 1; it pays their cross-entropy.
    prefix: laid end to end, goes before the sequence.
    loss: an auxiliary loss to train with, in bits per token of the music, added up.
    """

    start: Tensor | None = None  # (B, W)
    frames: Tensor | None = None  # (B, T, W)
    memory: Tensor | None = None  # (B, S, W)
    memory_mask: Tensor | None = None  # (B, S), bool
    memory_places: Tensor | None = None  # (B, T, W)
    memory_guide: Tensor | None = None  # (B, T, S)
    prefix: Prefix | None = None
    loss: Tensor | None = None  # ()

    def __add__(self, other: Conditioning) -> Conditioning:
        return Conditioning(
            start=_total(self.start, other.start),
            frames=_total(self.frames, other.frames),
            memory=_joined(self.memory, other.memory),
            memory_mask=_joined(*_of_memories(_all_seen, self, other, of="memory_mask")),
            memory_places=_total(self.memory_places, other.memory_places),
            memory_guide=_joined(*_of_memories(_shunned, self, other, of="memory_guide"), dim=2),
            prefix=_total(self.prefix, other.prefix),
            loss=_total(self.loss, other.loss),
        )

    def row(self, item: int) -> Conditioning:
        """The conditions of one item of the batch, still with a batch axis."""
        tensors = {name: getattr(self, name) for name in _TENSORS}
        rows: dict[str, Any] = {
            n: None if t is None else t[item : item + 1] for n, t in tensors.items()
        }
        return Conditioning(**rows, prefix=None if self.prefix is None else self.prefix.row(item))

    def astype(self, kind: torch.dtype) -> Conditioning:
        """What joins the prior, in the precision of its weights."""
        named = {name: getattr(self, name) for name in _JOINING}
        cast: dict[str, Any] = {n: None if t is None else t.to(kind) for n, t in named.items()}
        return replace(
            self, **cast, prefix=None if self.prefix is None else self.prefix.astype(kind)
        )


_JOINING = ("start", "frames", "memory", "memory_places")


_TENSORS = (*_JOINING, "memory_mask", "memory_guide")


Numbers = np.ndarray | Tensor


def tensor(numbers: Numbers, device: torch.device | str) -> Tensor:
    """Them on a device; nobody waits for what comes from pinned memory."""
    return torch.as_tensor(numbers).to(device, non_blocking=True)


def tensors(
    arrays: Mapping[str, Mapping[str, Numbers]], device: torch.device | str
) -> dict[str, dict[str, Tensor]]:
    """What conditioners made of a window, on a device."""
    return {
        name: {key: tensor(array, device) for key, array in each.items()}
        for name, each in arrays.items()
    }


def stack(items: Sequence[Conditioning]) -> Conditioning:
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


def join(conditions: Iterable[Conditioning]) -> Conditioning:
    return sum(conditions, Conditioning())


def _total(a: Addable | None, b: Addable | None) -> Addable | None:
    return b if a is None else a if b is None else a + b


def _of_memories(
    usual: Callable[[Tensor, Tensor], Tensor], *both: Conditioning, of: str
) -> list[Tensor | None]:
    """What two memories have, where one has some: the other, what is usual."""
    own: list[Tensor | None] = [getattr(each, of) for each in both]
    known = next((tensor for tensor in own if tensor is not None), None)
    if known is None:
        return own
    return [
        usual(each.memory, known) if each.memory is not None and mine is None else mine
        for each, mine in zip(both, own, strict=True)
    ]


def _all_seen(memory: Tensor, known: Tensor) -> Tensor:
    """The mask of a memory that has none."""
    return torch.ones_like(memory[..., 0], dtype=torch.bool)


def _shunned(memory: Tensor, known: Tensor) -> Tensor:
    """The guide to a memory that has none: it leads elsewhere."""
    return known.new_zeros(*known.shape[:2], memory.shape[1])


def _joined(a: Tensor | None, b: Tensor | None, *, dim: int = 1) -> Tensor | None:
    return b if a is None else a if b is None else torch.cat([a, b], dim=dim)
