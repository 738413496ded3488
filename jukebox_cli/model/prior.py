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
from jukebox_cli.model.conditioning import Conditioning, Prefix, sum_conditionings
from jukebox_cli.model.kv_cache import LayerCache, Position, select_position
from jukebox_cli.model.linear import BatchInvariantLinear, batch_invariant_linear
from jukebox_cli.model.plugin_calls import run_module
from jukebox_cli.model.transformer import Transformer
from jukebox_cli.model.upsampler_conditioner import UpsamplerConditioner
from jukebox_cli.model.zero_projection import ZeroProjection


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
        codebook_size: int,
        conditioners: Mapping[str, nn.Module],
        strides: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.config, self.codebook_size = config, codebook_size
        width = config.width
        self.token_embedding = nn.Embedding(codebook_size, width)
        self.position_embedding = nn.Parameter(
            torch.randn(config.prefix_length + config.context_length, width) * 0.01
        )
        self.start_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.conditioners = nn.ModuleDict(conditioners)
        self.zero_projections = nn.ModuleDict(
            {name: ZeroProjection(width) for name in config.zero_projections}
        )
        self.upsampler_conditioner = (
            None
            if strides is None
            else UpsamplerConditioner(codebook_size, width, strides, config.upsampler_conditioner)
        )
        self.transformer = Transformer(
            context_length=config.context_length,
            prefix_length=config.prefix_length,
            rows=config.rows,
            width=width,
            depth=config.depth,
            heads=config.heads,
            attention_width=int(config.attention_ratio * width),
            mlp_width=int(config.mlp_ratio * width),
            attention_patterns=config.attention_patterns,
            residual_scale=1 / (config.residual_scale_depth or config.depth)
            if config.residual_scale
            else 1.0,
        )
        self.final_norm = nn.LayerNorm(width) if config.final_norm else nn.Identity()
        self.output = None if config.tie_embeddings else BatchInvariantLinear(width, codebook_size)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def condition(
        self, arrays: Mapping[str, Mapping[str, Tensor]], upper_tokens: Tensor | None = None
    ) -> Conditioning:
        """Arrays of each conditioner (leading axis B) and the level above's codes, joined.

        Conditioners may compute in fp32 where the prior does not.
        """
        kind = self.position_embedding.dtype
        length, width = self.config.context_length, self.config.width
        made = {
            name: run_module(name, module, arrays[name], length, width).to_dtype(kind)
            for name, module in self.conditioners.items()
        }
        parts = [each for name, each in made.items() if name not in self.config.added_conditioners]
        if self.upsampler_conditioner is not None:
            assert upper_tokens is not None, "an upsampler needs the codes of the level above"
            parts.append(self.upsampler_conditioner(upper_tokens))
        conditions = self._with_added_conditioners(sum_conditionings(parts), made)
        given = 0 if conditions.prefix is None else conditions.prefix.ids.shape[1]
        if given != self.config.prefix_length:
            what = f"its conditioners give {given} letters to go before the music"
            hint = f"set `prefix: {given}` in the prior's config"
            raise InputError(f"{what}, and there is place for {self.config.prefix_length}", hint)
        return conditions

    def _with_added_conditioners(
        self, conditions: Conditioning, made: Mapping[str, Conditioning]
    ) -> Conditioning:
        """What was there from the beginning and, through joints, what was added later."""
        names, joints = self.config.added_conditioners, self.zero_projections
        added = sum_conditionings(joints[n](made[n]) if n in joints else made[n] for n in names)
        if added.start is not None and conditions.start is None:
            conditions = replace(conditions, start=self.start_embedding.expand_as(added.start))
        return conditions + added

    def forward(self, tokens: Tensor, conditions: Conditioning) -> Tensor:
        """Tokens (B, T), T up to `frames` -> logits (B, P + T, bins + V), each from what is
        before: the prefix's own first."""
        return self._forward(tokens, conditions, self._memory(conditions))

    def _forward(self, tokens: Tensor, conditions: Conditioning, memory: Memory | None) -> Tensor:
        x = self.transformer(self._inputs(tokens, conditions), memory=memory)
        x = self.final_norm(
            self._add_conditions_to_output(x, self._per_token(conditions, x.shape[1]))
        )
        music = F.linear(x, self.token_embedding.weight) if self.output is None else self.output(x)
        if conditions.prefix is None:
            return music
        return torch.cat([music, F.linear(x, self._prefix_output_weight(conditions.prefix))], dim=2)

    def loss(self, tokens: Tensor, conditions: Conditioning) -> Loss:
        """Of windows (B, T); -1 is past a song's end."""
        paid: list[Tensor] = []
        logits = self._forward(tokens.clamp_min(0), conditions, self._memory(conditions, paid))
        prefix = conditions.prefix
        before = 0 if prefix is None else prefix.ids.shape[1]
        bits = total = _cross_entropy_bits(logits[:, before:], tokens, "mean")
        if prefix is not None:
            each = _cross_entropy_bits(
                logits[:, :before], prefix.ids + self.codebook_size, "none"
            ).view_as(prefix.ids)
            total = total + (each * prefix.loss_weights).sum(1).mean() / tokens.shape[1]
        if conditions.loss is not None:
            total = total + conditions.loss
        if paid:
            total = total + torch.stack(paid).mean()
        return Loss(bits, total)

    def attention_weights(self, tokens: Tensor, conditions: Conditioning, layer: int) -> Tensor:
        """Where the heads of a `memory` or `prefix` layer look from each token of windows (B, T):
        shares (B, H, T, S) of the memory's or the prefix's positions."""
        x = self._inputs(tokens, conditions)
        return self.transformer.attention_weights(x, layer, self._memory(conditions))

    def make_caches(self, batch: int, conditions: Conditioning) -> list[LayerCache]:
        return self.transformer.make_caches(batch, self._memory(conditions))

    def prefill(
        self, tokens: Tensor, conditions: Conditioning, caches: Sequence[LayerCache]
    ) -> None:
        """Fills the caches as the prefix and steps 0 .. T - 1 over `tokens` (B, T) would, up to
        rounding.

        Item by item: a product over a batch may round differently for another batch.
        """
        if not self.config.prefix_length + tokens.shape[1]:
            return
        for i in range(tokens.shape[0]):
            mine = [cache.for_item(i, self.transformer.heads) for cache in caches]
            alone = conditions.item(i)
            self.transformer(self._inputs(tokens[i : i + 1], alone), mine, self._memory(alone))

    def step(
        self, last: Tensor, n: int, conditions: Conditioning, caches: Sequence[LayerCache]
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
            self.step_at(
                last[i : i + 1], n, conditions.item(i), [c.for_item(i, heads) for c in caches]
            )
            for i in range(batch)
        ]
        return torch.cat(each)

    def step_at(
        self, last: Tensor, n: Position, conditions: Conditioning, caches: Sequence[LayerCache]
    ) -> Tensor:
        """`step` for all items at once; a position that is a tensor (1,) must not be 0."""
        prefix, place = conditions.prefix, n + self.config.prefix_length
        x = self._previous_embedding(last, n, conditions)[:, None] + select_position(
            self.position_embedding[None], place
        )
        frames = None if conditions.per_token is None else select_position(conditions.per_token, n)
        x = x if frames is None else x + frames
        x = self.final_norm(
            self._add_conditions_to_output(self.transformer.step(x, place, caches), frames)
        )
        music = (
            self._tied_logits(x, self.token_embedding.weight)
            if self.output is None
            else self.output.step(x)
        )
        if prefix is None:
            return music[:, 0]
        return torch.cat([music, self._tied_logits(x, self._prefix_output_weight(prefix))], dim=2)[
            :, 0
        ]

    def _previous_embedding(
        self, last: Tensor, n: Position, conditions: Conditioning
    ) -> Tensor:  # (B, W)
        """The input at position n of the music, which is what stands before it."""
        prefix = conditions.prefix
        if isinstance(n, int) and n == 0:
            first = self._first_input(conditions, last.shape[0])
            return first if prefix is None else F.embedding(prefix.ids[:, -1], prefix.embeddings)
        if prefix is None:
            return self.token_embedding(last)
        music = self.token_embedding(last.clamp_max(self.codebook_size - 1))
        letters = F.embedding((last - self.codebook_size).clamp_min(0), prefix.embeddings)
        return torch.where((last < self.codebook_size)[:, None], music, letters)

    def _first_input(self, conditions: Conditioning, batch: int) -> Tensor:  # (B, W)
        return (
            self.start_embedding.expand(batch, -1) if conditions.start is None else conditions.start
        )

    def _inputs(self, tokens: Tensor, conditions: Conditioning) -> Tensor:  # (B, P + T, W)
        parts = [
            self._first_input(conditions, tokens.shape[0])[:, None],
            self.token_embedding(tokens),
        ]
        if conditions.prefix is not None:
            parts.insert(1, F.embedding(conditions.prefix.ids, conditions.prefix.embeddings))
        x = torch.cat(parts, dim=1)[:, :-1]
        x = x + self.position_embedding[: x.shape[1]]
        frames = self._per_token(conditions, x.shape[1])
        return x if frames is None else x + frames

    def _per_token(self, conditions: Conditioning, total: int) -> Tensor | None:
        """The conditions at the first `total` positions (B, total, W): none at the prefix."""
        if conditions.per_token is None:
            return None
        return self._pad_prefix(conditions.per_token[:, : total - self.config.prefix_length])

    def _pad_prefix(self, x: Tensor) -> Tensor:
        """What is of positions of the music (B, T, ...) as of all: 0 at the prefix."""
        prefix = self.config.prefix_length
        return F.pad(x, (0, 0, prefix, 0)) if prefix else x

    def _memory(self, conditions: Conditioning, paid: list[Tensor] | None = None) -> Memory | None:
        """What memory layers look at; `paid` is filled in with what they pay in training."""
        if conditions.memory is None:
            return None
        places, guide = (
            None if x is None else self._pad_prefix(x)
            for x in (conditions.query_encoding, conditions.attention_target)
        )
        return Memory(conditions.memory, conditions.memory_mask, places, guide, paid)

    def _add_conditions_to_output(self, x: Tensor, frames: Tensor | None) -> Tensor:
        """The conditions once more, before a tied output layer."""
        return x if frames is None or not self.config.tie_embeddings else x + frames

    def _prefix_output_weight(self, prefix: Prefix) -> Tensor:  # (V, W)
        return prefix.embeddings if prefix.output_weight is None else prefix.output_weight

    def _tied_logits(self, x: Tensor, table: Tensor) -> Tensor:  # (B, 1, W) -> (B, 1, len(table))
        return batch_invariant_linear(x, table.T, x.new_zeros(len(table)))


def _cross_entropy_bits(logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Cross-entropies of (B, T, K) in bits: the mean, (), of those that are not -1, or (B * T,)."""
    flat = logits.flatten(0, 1).float()
    nats = F.cross_entropy(flat, targets.flatten(), ignore_index=-1, reduction=reduction)
    return nats / log(2)
