"""The networks that read the characters. Imports torch, so it is imported only when needed.

Shapes: B batch, T tokens of a window, S characters of a window, W the prior's width.
"""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.api import PriorShape
from jukebox_cli.api.nn import BatchInvariantLinear, Conditioning, Prefix, Transformer

if TYPE_CHECKING:
    from .conditioner import Lyrics


#: Standard deviation of the attention target, in characters.
TARGET_WIDTH = 0.7

#: Wavelengths of the alignment encoding's sinusoids, in characters.
WAVELENGTHS = tuple(4.0 * 1.5**n for n in range(12))


class LyricsEncoder(nn.Module):
    """A causal transformer over the characters, whose output is the memory of cross-attention.

    It is causal because it is also trained to predict each character from those before.
    """

    def __init__(self, lyrics: Lyrics, shape: PriorShape) -> None:
        super().__init__()
        vocab_size, width = 1 + len(lyrics.charset), lyrics.width
        self.prediction_loss_weight = lyrics.prediction_loss_weight
        self.attention_loss_weight = lyrics.attention_loss_weight
        self.characters_per_token = lyrics.max_characters / shape.context_length
        self.character_embedding = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.character_embedding.weight, std=0.02)
        self.position_embedding = nn.Parameter(torch.randn(lyrics.max_characters, width) * 0.01)
        self.start_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.transformer = Transformer.from_config(lyrics, lyrics.max_characters)
        self.projection = BatchInvariantLinear(width, shape.width)
        self.norm = nn.LayerNorm(shape.width)
        self.output_weight = nn.Parameter(torch.randn(vocab_size, shape.width) * 0.02)
        self.alignment_encoding = (
            AlignmentEncoding(shape.width) if lyrics.alignment_encoding else None
        )

    def forward(
        self,
        ids: Tensor,
        timed_positions: Tensor,
        uniform_positions: Tensor,
        target_positions: Tensor,
    ) -> Conditioning:
        """ids (B, S) and positions (B, T), as `Lyrics.encode` describes them.

        Returns memory (B, S, W); with `alignment_encoding` also query_encoding (B, T, W); in
        training also attention_target (B, T, S). loss: that of the characters, in bits per token.
        """
        start = self.start_embedding.expand(len(ids), 1, -1)
        x = (
            torch.cat([start, self.character_embedding(ids[:, :-1])], dim=1)
            + self.position_embedding
        )  # (B, S, width)
        memory: Tensor = self.norm(self.projection(self.transformer(x)))  # (B, S, W)
        loss = self._prediction_loss(memory, ids)
        query_encoding = None
        if self.alignment_encoding is not None:
            memory = memory + self.alignment_encoding.key_encoding(ids.shape[1])
            query_encoding = self.alignment_encoding(timed_positions, uniform_positions)
        return Conditioning(
            memory=memory,
            query_encoding=query_encoding,
            attention_target=self._attention_target(target_positions, ids.shape[1]),
            loss=loss,
        )

    def _prediction_loss(self, memory: Tensor, ids: Tensor) -> Tensor:
        """Weighted cross-entropy of the characters, in bits per token of music, ()."""
        logits = F.linear(memory, self.output_weight).flatten(0, 1)
        bits = F.cross_entropy(logits.float(), ids.flatten()) / log(2)
        return self.prediction_loss_weight * self.characters_per_token * bits

    def _attention_target(self, positions: Tensor, num_characters: int) -> Tensor | None:
        """The weighted target (B, T, S) in training, else None."""
        if not self.training or not self.attention_loss_weight:
            return None
        return self.attention_loss_weight * attention_target(positions, num_characters)


class AlignmentEncoding(nn.Module):
    """Sinusoidal encodings of character positions, added to cross-attention keys and queries.

    The keys get the encoding of their own position; the queries that of the character being sung,
    where its time is known, plus that of the uniformly spread position. So attention can find the
    diagonal early in training.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.timed = BatchInvariantLinear(2 * len(WAVELENGTHS), width, std=1.0)
        self.uniform = BatchInvariantLinear(2 * len(WAVELENGTHS), width, std=1.0)
        self.keys = BatchInvariantLinear(2 * len(WAVELENGTHS), width, std=1.0)

    def key_encoding(self, num_characters: int) -> Tensor:
        """The encoding of each position, to be added to the keys: (num_characters, W)."""
        positions = torch.arange(num_characters, device=self.keys.weight.device)
        encoding: Tensor = self.keys(sinusoids(positions))
        return encoding

    def forward(self, timed_positions: Tensor, uniform_positions: Tensor) -> Tensor:
        """(B, T), (B, T) -> (B, T, W), to be added to the queries; nan is an unknown time."""
        known = ~timed_positions.isnan()
        timed = self.timed(sinusoids(timed_positions.nan_to_num())) * known[..., None]
        encoding: Tensor = timed + self.uniform(sinusoids(uniform_positions))
        return encoding


def sinusoids(positions: Tensor) -> Tensor:
    """Sines and cosines of positions: (...) -> (..., 2 K) for K wavelengths.

    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    wavelengths = torch.tensor(WAVELENGTHS, device=positions.device)
    angles = positions[..., None] * wavelengths.reciprocal() * 2 * pi
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def attention_target(positions: Tensor, num_characters: int) -> Tensor:
    """Gaussian attention target around the character being sung: (B, T) -> (B, T, S).

    Each row sums to 1, or is zero where the position is nan or outside the window.
    Source: guided attention, Tachibana et al. 2018 (arXiv 1710.08969), section 4.1.
    """
    characters = torch.arange(num_characters, device=positions.device)
    distance = (characters - positions[..., None]) / TARGET_WIDTH
    known = (positions >= 0) & (positions <= num_characters - 1)
    gaussian = (-0.5 * distance**2).softmax(2)
    return torch.where(known[..., None], gaussian, 0.0)


class LyricsPrefix(nn.Module):
    """Embeddings of the characters that precede the music; the prior itself reads them."""

    def __init__(self, lyrics: Lyrics, shape: PriorShape) -> None:
        super().__init__()
        vocab_size, width = 1 + len(lyrics.charset), shape.width
        self.prediction_loss_weight = lyrics.prediction_loss_weight
        self.character_embedding = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.character_embedding.weight, std=0.02)
        self.output_weight = (
            None if lyrics.tie_embeddings else nn.Parameter(torch.randn(vocab_size, width) * 0.02)
        )

    def forward(self, ids: Tensor, **positions: Tensor) -> Conditioning:
        """ids (B, S) -> a prefix of S positions. The positions (B, T) are not used."""
        embeddings = self.character_embedding.weight
        loss_weights = embeddings.new_full((ids.shape[1],), self.prediction_loss_weight)
        return Conditioning(prefix=Prefix(ids, embeddings, loss_weights, self.output_weight))
