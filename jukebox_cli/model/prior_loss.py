"""The training loss of a prior, in bits.

Shapes: B batch, T tokens of a window, P prefix positions, K codes, V characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from jukebox_cli.model.conditioning import Conditioning, Prefix


class PriorLoss(NamedTuple):
    """The loss of a prior on a batch."""

    bits: Tensor  # (): mean cross-entropy of the music, in bits per token
    total: Tensor  # (): plus the losses of prefix, conditioners and attention: what is minimised


def compute_prior_loss(
    logits: Tensor, tokens: Tensor, conditions: Conditioning, attention_losses: Sequence[Tensor]
) -> PriorLoss:
    """The loss of logits (B, P + T, K + V) for tokens (B, T), where -1 marks positions past the end
    of a song, which do not count.

    `attention_losses` are those of the cross-attention layers, each (), in bits per position.
    """
    prefix = conditions.prefix
    prefix_length = 0 if prefix is None else prefix.ids.shape[1]
    bits = total = _cross_entropy_bits(logits[:, prefix_length:], tokens, "mean")
    if prefix is not None:
        total = total + _prefix_loss(logits[:, :prefix_length], prefix) / tokens.shape[1]
    if conditions.loss is not None:
        total = total + conditions.loss
    if attention_losses:
        total = total + torch.stack(list(attention_losses)).mean()
    return PriorLoss(bits, total)


def _prefix_loss(logits: Tensor, prefix: Prefix) -> Tensor:
    """Weighted sum () of the cross-entropies of a prefix, averaged over the batch."""
    codebook_size = logits.shape[2] - len(prefix.embeddings)
    targets = prefix.ids + codebook_size
    per_character = _cross_entropy_bits(logits, targets, "none").view_as(prefix.ids)  # (B, P)
    return (per_character * prefix.loss_weights).sum(1).mean()


def _cross_entropy_bits(logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Cross-entropy of logits (B, T, C) for targets (B, T), in bits.

    The mean () over targets other than -1 for reduction "mean", or (B * T,) for "none".
    """
    flat = logits.flatten(0, 1).float()
    nats = F.cross_entropy(flat, targets.flatten(), ignore_index=-1, reduction=reduction)
    return nats / log(2)
