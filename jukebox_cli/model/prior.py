"""The prior of a level: tokens and conditions -> logits of the next token (paper, section 4).

The prior of the top level is the paper's top-level prior; those below it are upsamplers, which
also see the tokens of the level above. Position n of the music predicts token n from the tokens
before it: the input sequence is shifted right by one, and starts with the conditioners' `start` or,
without one, with a learned embedding.

Shapes: B batch, T tokens of a window, P prefix positions, S memory positions, W width, H heads,
K codes of the codebook, V characters of the prefix's vocabulary (P = V = 0 without a prefix).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.conditioning import Conditioning, Prefix, sum_conditionings
from jukebox_cli.model.cross_attention import Memory
from jukebox_cli.model.kv_cache import LayerCache, select_position
from jukebox_cli.model.linear import BatchInvariantLinear, batch_invariant_linear
from jukebox_cli.model.plugin_calls import run_module
from jukebox_cli.model.prior_loss import PriorLoss, compute_prior_loss
from jukebox_cli.model.transformer import Transformer
from jukebox_cli.model.upsampler_conditioner import UpsamplerConditioner
from jukebox_cli.model.zero_projection import ZeroProjection

#: `Transformer.step`, or another way to compute it.
TransformerStep = Callable[[Tensor, Any, Sequence[LayerCache]], Tensor]


class Prior(nn.Module):
    """An autoregressive transformer over the tokens of one level.

    If a conditioner gives a prefix, its P characters precede the T tokens of the music, and the
    vocabulary is the K codes followed by the V characters.

    `conditioners` are the networks of the level's conditioners by name; `strides` are those between
    this level and the one above, None at the top.
    """

    def __init__(
        self,
        config: PriorConfig,
        codebook_size: int,
        conditioners: Mapping[str, nn.Module],
        strides: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.config, self.codebook_size, width = config, codebook_size, config.width
        num_positions = config.prefix_length + config.context_length
        self.token_embedding = nn.Embedding(codebook_size, width)
        self.position_embedding = nn.Parameter(torch.randn(num_positions, width) * 0.01)
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
        self.transformer = Transformer.from_config(
            config, config.context_length, config.prefix_length, config.residual_scale_depth
        )
        self.final_norm = nn.LayerNorm(width) if config.final_norm else nn.Identity()
        self.output = None if config.tie_embeddings else BatchInvariantLinear(width, codebook_size)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def condition(
        self, arrays: Mapping[str, Mapping[str, Tensor]], upper_tokens: Tensor | None = None
    ) -> Conditioning:
        """The conditions of a window, from the arrays of each conditioner (leading axis B).

        An upsampler also needs the tokens of the level above, `upper_tokens` (B, T / ratio).
        Conditioners may compute in fp32 where the prior does not; the result has the prior's dtype.
        InputError if the conditioners' prefix has not the length that the config reserves,
        PluginError if a conditioner's network fails or returns other shapes.
        """
        dtype, added = self.position_embedding.dtype, self.config.added_conditioners
        length, width = self.config.context_length, self.config.width
        outputs = {
            name: run_module(name, network, arrays[name], length, width).to_dtype(dtype)
            for name, network in self.conditioners.items()
        }
        original = [output for name, output in outputs.items() if name not in added]
        if self.upsampler_conditioner is not None:
            assert upper_tokens is not None, "an upsampler needs the tokens of the level above"
            original.append(self.upsampler_conditioner(upper_tokens))
        conditions = self._with_added_conditioners(sum_conditionings(original), outputs)
        self._require_prefix_length(conditions.prefix)
        return conditions

    def _with_added_conditioners(
        self, conditions: Conditioning, outputs: Mapping[str, Conditioning]
    ) -> Conditioning:
        """The conditions plus those of conditioners that were added to the trained prior, through
        their zero-initialised projections (see `surgery`)."""
        names, projections = self.config.added_conditioners, self.zero_projections
        added = sum_conditionings(
            projections[name](outputs[name]) if name in projections else outputs[name]
            for name in names
        )
        if added.start is not None and conditions.start is None:
            conditions = replace(conditions, start=self.start_embedding.expand_as(added.start))
        return conditions + added

    def _require_prefix_length(self, prefix: Prefix | None) -> None:
        length, expected = 0 if prefix is None else prefix.ids.shape[1], self.config.prefix_length
        if length != expected:
            raise InputError(
                f"the conditioners give a prefix of {length} characters, "
                f"but the prior has room for {expected}",
                f"set `prefix_length: {length}` in the prior's config",
            )

    def forward(self, tokens: Tensor, conditions: Conditioning) -> Tensor:
        """Tokens (B, T) -> logits (B, P + T, K + V), those of the prefix first.

        The logits at a position depend only on what precedes it. T is at most the context length.
        """
        return self._forward(tokens, conditions, self._memory(conditions))

    def _forward(self, tokens: Tensor, conditions: Conditioning, memory: Memory | None) -> Tensor:
        x = self.transformer(self._inputs(tokens, conditions), memory=memory)
        per_token = self._per_token(conditions, x.shape[1])
        x = self.final_norm(self._add_to_tied_output(x, per_token))
        logits = F.linear(x, self.token_embedding.weight) if self.output is None else self.output(x)
        if conditions.prefix is None:
            return logits
        characters = F.linear(x, output_weight(conditions.prefix))
        return torch.cat([logits, characters], dim=2)

    def loss(self, tokens: Tensor, conditions: Conditioning) -> PriorLoss:
        """The training loss of windows (B, T); -1 marks positions past the end of a song."""
        attention_losses: list[Tensor] = []
        memory = self._memory(conditions, attention_losses)
        logits = self._forward(tokens.clamp_min(0), conditions, memory)
        return compute_prior_loss(logits, tokens, conditions, attention_losses)

    def attention_weights(self, tokens: Tensor, conditions: Conditioning, layer: int) -> Tensor:
        """Attention weights of a `cross_attention` or `prefix` layer from each token (B, T):
        (B, H, T, S) over the memory or (B, H, T, P) over the prefix."""
        x = self._inputs(tokens, conditions)
        return self.transformer.attention_weights(x, layer, self._memory(conditions))

    def make_caches(self, batch: int, conditions: Conditioning) -> list[LayerCache]:
        """A cache per layer for the steps of one window, to be passed to `prefill` and `step`."""
        return self.transformer.make_caches(batch, self._memory(conditions))

    def prefill(
        self, tokens: Tensor, conditions: Conditioning, caches: Sequence[LayerCache]
    ) -> None:
        """Fill the caches with the prefix and the prompt `tokens` (B, T), as T steps would do up to
        rounding. Needed before the first step also when T is 0.

        Item by item, since a product over a batch may round differently for another batch.
        """
        if not self.config.prefix_length + tokens.shape[1]:
            return
        for i in range(tokens.shape[0]):
            item_caches = [cache.for_item(i, self.transformer.heads) for cache in caches]
            of_item = conditions.item(i)
            x = self._inputs(tokens[i : i + 1], of_item)
            self.transformer(x, item_caches, self._memory(of_item))

    def step(
        self, last: Tensor, n: int, conditions: Conditioning, caches: Sequence[LayerCache]
    ) -> Tensor:
        """Logits (B, K + V) at position `n` of the music, given the token before it, `last` (B,).

        The caches must hold what precedes `last`. At n = 0 `last` is ignored. This is the reference
        for the faster implementations in `engine`: an item's logits are the same to the bit
        whatever the batch. Several CPU threads may divide the work differently for another batch
        size, which changes the rounding, so with them the items are computed one by one.
        """
        batch = last.shape[0]
        if batch == 1 or last.device.type != "cpu" or torch.get_num_threads() == 1:
            return self.step_batch(last, n, conditions, caches)
        heads = self.transformer.heads
        logits = [
            self.step_batch(
                last[i : i + 1], n, conditions.item(i), [c.for_item(i, heads) for c in caches]
            )
            for i in range(batch)
        ]
        return torch.cat(logits)

    def step_batch(
        self,
        last: Tensor,
        n: int | Tensor,
        conditions: Conditioning,
        caches: Sequence[LayerCache],
        transformer_step: TransformerStep | None = None,
    ) -> Tensor:
        """As `step`, but always for the whole batch at once, and with `n` an int or a tensor (1,)
        on the device, which must not be 0. `transformer_step` replaces that of the transformer."""
        position = n + self.config.prefix_length
        x = self._previous_embedding(last, n, conditions)[:, None] + select_position(
            self.position_embedding[None], position
        )  # (B, 1, W)
        per_token = conditions.per_token
        per_token = None if per_token is None else select_position(per_token, n)
        x = x if per_token is None else x + per_token
        x = (transformer_step or self.transformer.step)(x, position, caches)
        x = self.final_norm(self._add_to_tied_output(x, per_token))
        logits = (
            _tied_logits(x, self.token_embedding.weight)
            if self.output is None
            else self.output.step(x)
        )
        if conditions.prefix is None:
            return logits[:, 0]
        characters = _tied_logits(x, output_weight(conditions.prefix))
        return torch.cat([logits, characters], dim=2)[:, 0]

    def _previous_embedding(
        self, last: Tensor, n: int | Tensor, conditions: Conditioning
    ) -> Tensor:
        """The embedding (B, W) of what precedes position `n` of the music: a token, a character of
        the prefix, or the start."""
        prefix = conditions.prefix
        if isinstance(n, int) and n == 0:
            if prefix is None:
                return self._first_input(conditions, last.shape[0])
            return F.embedding(prefix.ids[:, -1], prefix.embeddings)
        if prefix is None:
            return self.token_embedding(last)
        music = self.token_embedding(last.clamp_max(self.codebook_size - 1))
        character = F.embedding((last - self.codebook_size).clamp_min(0), prefix.embeddings)
        return torch.where((last < self.codebook_size)[:, None], music, character)

    def _first_input(self, conditions: Conditioning, batch: int) -> Tensor:  # (B, W)
        if conditions.start is not None:
            return conditions.start
        return self.start_embedding.expand(batch, -1)

    def _inputs(self, tokens: Tensor, conditions: Conditioning) -> Tensor:  # (B, P + T, W)
        parts = [
            self._first_input(conditions, tokens.shape[0])[:, None],
            self.token_embedding(tokens),
        ]
        if conditions.prefix is not None:
            parts.insert(1, F.embedding(conditions.prefix.ids, conditions.prefix.embeddings))
        x = torch.cat(parts, dim=1)[:, :-1]
        x = x + self.position_embedding[: x.shape[1]]
        per_token = self._per_token(conditions, x.shape[1])
        return x if per_token is None else x + per_token

    def _per_token(self, conditions: Conditioning, total: int) -> Tensor | None:
        """`per_token` for the first `total` positions (B, total, W), zero at the prefix."""
        if conditions.per_token is None:
            return None
        return self._pad_prefix(conditions.per_token[:, : total - self.config.prefix_length])

    def _pad_prefix(self, x: Tensor) -> Tensor:  # (B, T, C) -> (B, P + T, C), zero at the prefix
        prefix_length = self.config.prefix_length
        return F.pad(x, (0, 0, prefix_length, 0)) if prefix_length else x

    def _memory(
        self, conditions: Conditioning, attention_losses: list[Tensor] | None = None
    ) -> Memory | None:
        """What cross-attention layers attend to; they append to `attention_losses`."""
        if conditions.memory is None:
            return None
        encoding, target = (
            None if x is None else self._pad_prefix(x)
            for x in (conditions.query_encoding, conditions.attention_target)
        )
        return Memory(conditions.memory, conditions.memory_mask, encoding, target, attention_losses)

    def _add_to_tied_output(self, x: Tensor, per_token: Tensor | None) -> Tensor:
        """`x` plus the conditions once more if the output layer is tied, as in the original."""
        return x if per_token is None or not self.config.tie_embeddings else x + per_token


def output_weight(prefix: Prefix) -> Tensor:
    """The output layer (V, W) for the characters of a prefix."""
    return prefix.embeddings if prefix.output_weight is None else prefix.output_weight


def _tied_logits(x: Tensor, embeddings: Tensor) -> Tensor:  # (B, 1, W), (V, W) -> (B, 1, V)
    return batch_invariant_linear(x, embeddings.T, x.new_zeros(len(embeddings)))
