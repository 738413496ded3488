"""The prior of a level: tokens + Conditioning -> logits (paper, section 4).

Position n predicts token n from the tokens before it: the sequence is shifted right by one, and
the first input is the conditioners' `start`, or a learned vector where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.attention import Memory
from jukebox_cli.model.conditioning import Conditioning, Prefix, join
from jukebox_cli.model.kv_cache import AnyCache, Position, nth
from jukebox_cli.model.linear import Linear, each_row
from jukebox_cli.model.transformer import Transformer
from jukebox_cli.model.upsampler_conditioner import Upper
from jukebox_cli.model.zero_projection import Joint


class Loss(NamedTuple):
    """How well a prior does."""

    bits: Tensor  # (): cross-entropy of the music, in bits per token
    total: Tensor  # (): with what else is learned: what training makes smaller


class Prior(nn.Module):
    """An autoregressive transformer over one level's tokens.

    `conditioners` are the modules of this level's conditioners, by name; `strides` are those
    between this level and the one above, None at the top.

    Where a conditioner gives a prefix, its P letters go before the T tokens, and the vocabulary is
    the bins of the codebook followed by the V letters.
    """

    def __init__(
        self,
        config: PriorConfig,
        bins: int,
        conditioners: Mapping[str, nn.Module],
        strides: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.config, self.bins = config, bins
        width = config.width
        self.tokens = nn.Embedding(bins, width)
        self.positions = nn.Parameter(torch.randn(config.prefix + config.frames, width) * 0.01)
        self.start = nn.Parameter(torch.randn(width) * 0.02)
        self.conditioners = nn.ModuleDict(conditioners)
        self.joints = nn.ModuleDict({name: Joint(width) for name in config.added_joints})
        self.upper = None if strides is None else Upper(bins, width, strides, config.upper)
        self.transformer = Transformer(
            frames=config.frames,
            prefix=config.prefix,
            blocks=config.blocks,
            width=width,
            depth=config.depth,
            heads=config.heads,
            inner=int(config.attention * width),
            hidden=int(config.mlp * width),
            patterns=config.patterns,
            scale=1 / (config.scale_depth or config.depth) if config.scale else 1.0,
        )
        self.norm = nn.LayerNorm(width) if config.norm else nn.Identity()
        self.head = None if config.tied else Linear(width, bins)
        nn.init.normal_(self.tokens.weight, std=0.02)

    def condition(
        self, arrays: Mapping[str, Mapping[str, Tensor]], above: Tensor | None = None
    ) -> Conditioning:
        """Arrays of each conditioner (leading axis B) and the level above's codes, joined.

        Conditioners may compute in fp32 where the prior does not.
        """
        kind = self.positions.dtype
        made = {n: module(**arrays[n]).astype(kind) for n, module in self.conditioners.items()}
        parts = [each for name, each in made.items() if name not in self.config.added]
        if self.upper is not None:
            assert above is not None, "an upsampler needs the codes of the level above"
            parts.append(self.upper(above))
        conditions = self._with_added(join(parts), made)
        given = 0 if conditions.prefix is None else conditions.prefix.ids.shape[1]
        if given != self.config.prefix:
            what = f"its conditioners give {given} letters to go before the music"
            hint = f"set `prefix: {given}` in the prior's config"
            raise InputError(f"{what}, and there is place for {self.config.prefix}", hint)
        return conditions

    def _with_added(
        self, conditions: Conditioning, made: Mapping[str, Conditioning]
    ) -> Conditioning:
        """What was there from the beginning and, through joints, what was added later."""
        names, joints = self.config.added, self.joints
        added = join(joints[n](made[n]) if n in joints else made[n] for n in names)
        if added.start is not None and conditions.start is None:
            conditions = replace(conditions, start=self.start.expand_as(added.start))
        return conditions + added

    def forward(self, tokens: Tensor, conditions: Conditioning) -> Tensor:
        """Tokens (B, T), T up to `frames` -> logits (B, P + T, bins + V), each from what is
        before: the prefix's own first."""
        return self._forward(tokens, conditions, self._memory(conditions))

    def _forward(self, tokens: Tensor, conditions: Conditioning, memory: Memory | None) -> Tensor:
        x = self.transformer(self._inputs(tokens, conditions), memory=memory)
        x = self.norm(self._again(x, self._frames(conditions, x.shape[1])))
        music = F.linear(x, self.tokens.weight) if self.head is None else self.head(x)
        if conditions.prefix is None:
            return music
        return torch.cat([music, F.linear(x, self._out(conditions.prefix))], dim=2)

    def loss(self, tokens: Tensor, conditions: Conditioning) -> Loss:
        """Of windows (B, T); -1 is past a song's end."""
        paid: list[Tensor] = []
        logits = self._forward(tokens.clamp_min(0), conditions, self._memory(conditions, paid))
        prefix = conditions.prefix
        before = 0 if prefix is None else prefix.ids.shape[1]
        bits = total = _bits(logits[:, before:], tokens, "mean")
        if prefix is not None:
            each = _bits(logits[:, :before], prefix.ids + self.bins, "none").view_as(prefix.ids)
            total = total + (each * prefix.share).sum(1).mean() / tokens.shape[1]
        if conditions.loss is not None:
            total = total + conditions.loss
        if paid:
            total = total + torch.stack(paid).mean()
        return Loss(bits, total)

    def looks(self, tokens: Tensor, conditions: Conditioning, layer: int) -> Tensor:
        """Where the heads of a `memory` or `prefix` layer look from each token of windows (B, T):
        shares (B, H, T, S) of the memory's or the prefix's positions."""
        x = self._inputs(tokens, conditions)
        return self.transformer.looks(x, layer, self._memory(conditions))

    def caches(self, batch: int, conditions: Conditioning) -> list[AnyCache]:
        return self.transformer.caches(batch, self._memory(conditions))

    def prefill(self, tokens: Tensor, conditions: Conditioning, caches: Sequence[AnyCache]) -> None:
        """Fills the caches as the prefix and steps 0 .. T - 1 over `tokens` (B, T) would, up to
        rounding.

        Item by item: a product over a batch may round differently for another batch.
        """
        if not self.config.prefix + tokens.shape[1]:
            return
        for i in range(tokens.shape[0]):
            mine = [cache.of(i, self.transformer.heads) for cache in caches]
            alone = conditions.row(i)
            self.transformer(self._inputs(tokens[i : i + 1], alone), mine, self._memory(alone))

    def step(
        self, last: Tensor, n: int, conditions: Conditioning, caches: Sequence[AnyCache]
    ) -> Tensor:
        """Logits (B, bins + V) of position n of the music, given the token before it, `last` (B,).

        `last` is not looked at when n is 0. Several threads on a CPU may share out a single item
        otherwise than a batch, and round with it: then it is item by item.
        """
        batch = last.shape[0]
        if batch == 1 or last.device.type != "cpu" or torch.get_num_threads() == 1:
            return self.step_at(last, n, conditions, caches)
        heads = self.transformer.heads
        each = [
            self.step_at(last[i : i + 1], n, conditions.row(i), [c.of(i, heads) for c in caches])
            for i in range(batch)
        ]
        return torch.cat(each)

    def step_at(
        self, last: Tensor, n: Position, conditions: Conditioning, caches: Sequence[AnyCache]
    ) -> Tensor:
        """`step` for all items at once; a position that is a tensor (1,) must not be 0."""
        prefix, place = conditions.prefix, n + self.config.prefix
        x = self._before(last, n, conditions)[:, None] + nth(self.positions[None], place)
        frames = None if conditions.frames is None else nth(conditions.frames, n)
        x = x if frames is None else x + frames
        x = self.norm(self._again(self.transformer.step(x, place, caches), frames))
        music = self._each_row(x, self.tokens.weight) if self.head is None else self.head.step(x)
        if prefix is None:
            return music[:, 0]
        return torch.cat([music, self._each_row(x, self._out(prefix))], dim=2)[:, 0]

    def _before(self, last: Tensor, n: Position, conditions: Conditioning) -> Tensor:  # (B, W)
        """The input at position n of the music, which is what stands before it."""
        prefix = conditions.prefix
        if isinstance(n, int) and n == 0:
            first = self._first(conditions, last.shape[0])
            return first if prefix is None else F.embedding(prefix.ids[:, -1], prefix.letters)
        if prefix is None:
            return self.tokens(last)
        music = self.tokens(last.clamp_max(self.bins - 1))
        letters = F.embedding((last - self.bins).clamp_min(0), prefix.letters)
        return torch.where((last < self.bins)[:, None], music, letters)

    def _first(self, conditions: Conditioning, batch: int) -> Tensor:  # (B, W)
        return self.start.expand(batch, -1) if conditions.start is None else conditions.start

    def _inputs(self, tokens: Tensor, conditions: Conditioning) -> Tensor:  # (B, P + T, W)
        parts = [self._first(conditions, tokens.shape[0])[:, None], self.tokens(tokens)]
        if conditions.prefix is not None:
            parts.insert(1, F.embedding(conditions.prefix.ids, conditions.prefix.letters))
        x = torch.cat(parts, dim=1)[:, :-1]
        x = x + self.positions[: x.shape[1]]
        frames = self._frames(conditions, x.shape[1])
        return x if frames is None else x + frames

    def _frames(self, conditions: Conditioning, total: int) -> Tensor | None:
        """The conditions at the first `total` positions (B, total, W): none at the prefix."""
        if conditions.frames is None:
            return None
        return self._after_prefix(conditions.frames[:, : total - self.config.prefix])

    def _after_prefix(self, x: Tensor) -> Tensor:
        """What is of positions of the music (B, T, ...) as of all: 0 at the prefix."""
        prefix = self.config.prefix
        return F.pad(x, (0, 0, prefix, 0)) if prefix else x

    def _memory(self, conditions: Conditioning, paid: list[Tensor] | None = None) -> Memory | None:
        """What memory layers look at; `paid` is filled in with what they pay in training."""
        if conditions.memory is None:
            return None
        places, guide = (
            None if x is None else self._after_prefix(x)
            for x in (conditions.memory_places, conditions.memory_guide)
        )
        return Memory(conditions.memory, conditions.memory_mask, places, guide, paid)

    def _again(self, x: Tensor, frames: Tensor | None) -> Tensor:
        """The conditions once more, before a tied output layer."""
        return x if frames is None or not self.config.tied else x + frames

    def _out(self, prefix: Prefix) -> Tensor:  # (V, W)
        return prefix.letters if prefix.out is None else prefix.out

    def _each_row(self, x: Tensor, table: Tensor) -> Tensor:  # (B, 1, W) -> (B, 1, len(table))
        return each_row(x, table.T, x.new_zeros(len(table)))


def _bits(logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Cross-entropies of (B, T, K) in bits: the mean, (), of those that are not -1, or (B * T,)."""
    flat = logits.flatten(0, 1).float()
    nats = F.cross_entropy(flat, targets.flatten(), ignore_index=-1, reduction=reduction)
    return nats / log(2)
