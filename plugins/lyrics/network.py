"""The networks that read the letters; a module of its own, since it imports torch."""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.api import PriorShape
from jukebox_cli.api.nn import BatchInvariantLinear, Conditioning, Prefix, Transformer

if TYPE_CHECKING:
    from . import Lyrics


#: Letters; how near to what is sung heads are guided to.
TARGET_WIDTH = 0.7

#: Letters that waves of hints are long.
WAVELENGTHS = tuple(4.0 * 1.5**n for n in range(12))


class LyricsEncoder(nn.Module):
    """Reads from left to right, so that each place can foretell its letter."""

    def __init__(self, lyrics: Lyrics, shape: PriorShape) -> None:
        super().__init__()
        vocab_size, width = 1 + len(lyrics.charset), lyrics.width
        self.prediction_loss_weight, self.attention_loss_weight = (
            lyrics.prediction_loss_weight,
            lyrics.attention_loss_weight,
        )
        self.characters_per_token = lyrics.max_characters / shape.context_length
        self.character_embedding = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.character_embedding.weight, std=0.02)
        self.position_embedding = nn.Parameter(torch.randn(lyrics.max_characters, width) * 0.01)
        self.start_embedding = nn.Parameter(torch.randn(width) * 0.02)
        self.transformer = Transformer(
            context_length=lyrics.max_characters,
            rows=lyrics.rows,
            width=width,
            depth=lyrics.depth,
            heads=lyrics.heads,
            attention_width=int(lyrics.attention_ratio * width),
            mlp_width=int(lyrics.mlp_ratio * width),
            attention_patterns=lyrics.attention_patterns,
            residual_scale=1 / lyrics.depth if lyrics.residual_scale else 1.0,
        )
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
        """ids (B, S), and slots of the letters for every frame (B, T): those that are sung as far
        as it is told, those if words were sung evenly, those where heads are guided to."""
        first = self.start_embedding.expand(len(ids), 1, -1)
        x = (
            torch.cat([first, self.character_embedding(ids[:, :-1])], dim=1)
            + self.position_embedding
        )
        memory: Tensor = self.norm(self.projection(self.transformer(x)))  # (B, S, W)
        logits = F.linear(memory, self.output_weight).flatten(0, 1)
        bits = F.cross_entropy(logits.float(), ids.flatten()) / log(2)
        shares = (
            self.attention_loss_weight * attention_target(target_positions, ids.shape[1])
            if self.training and self.attention_loss_weight
            else None
        )
        loss = self.prediction_loss_weight * self.characters_per_token * bits
        places = None
        if self.alignment_encoding is not None:
            memory = memory + self.alignment_encoding.key_encoding(ids.shape[1])
            places = self.alignment_encoding(timed_positions, uniform_positions)
        return Conditioning(
            memory=memory, query_encoding=places, attention_target=shares, loss=loss
        )


class AlignmentEncoding(nn.Module):
    """What leads attention: slots of letters as waves that both sides of it know, the memory and
    what asks it. (B, T), (B, T) -> (B, T, W); nan where nobody knows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.timed = BatchInvariantLinear(2 * len(WAVELENGTHS), width, std=1.0)
        self.uniform = BatchInvariantLinear(2 * len(WAVELENGTHS), width, std=1.0)
        self.keys = BatchInvariantLinear(2 * len(WAVELENGTHS), width, std=1.0)

    def key_encoding(self, count: int) -> Tensor:
        """What the memory's slots have of their place: (count, W)."""
        numbers = torch.arange(count, device=self.keys.weight.device)
        places: Tensor = self.keys(sinusoids(numbers))
        return places

    def forward(self, sung: Tensor, evenly: Tensor) -> Tensor:
        known = ~sung.isnan()
        told = self.timed(sinusoids(sung.nan_to_num())) * known[..., None]
        places: Tensor = told + self.uniform(sinusoids(evenly))
        return places


def sinusoids(slots: Tensor) -> Tensor:
    """Sines and cosines (..., 2 K) of slots (...) (Vaswani et al. 2017, section 3.5)."""
    angles = slots[..., None] * torch.tensor(WAVELENGTHS, device=slots.device).reciprocal() * 2 * pi
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def attention_target(sung: Tensor, slots: int) -> Tensor:
    """Shares of slots around the one that is sung (B, T), a bell: (B, T, slots); 0 all over where
    nobody knows, or it isn't told (guided attention, Tachibana et al. 2018, section 4.1)."""
    away = (torch.arange(slots, device=sung.device) - sung[..., None]) / TARGET_WIDTH
    told = (sung >= 0) & (sung <= slots - 1)
    bell = (-0.5 * away**2).softmax(2)
    return torch.where(told[..., None], bell, 0.0)


class LyricsPrefix(nn.Module):
    """Letters that go before the music, read by the prior itself."""

    def __init__(self, lyrics: Lyrics, shape: PriorShape) -> None:
        super().__init__()
        known, width = 1 + len(lyrics.charset), shape.width
        self.prediction_loss_weight = lyrics.prediction_loss_weight
        self.character_embedding = nn.Embedding(known, width)
        nn.init.normal_(self.character_embedding.weight, std=0.02)
        self.output_weight = (
            None if lyrics.tie_embeddings else nn.Parameter(torch.randn(known, width) * 0.02)
        )

    def forward(
        self,
        ids: Tensor,
        timed_positions: Tensor,
        uniform_positions: Tensor,
        target_positions: Tensor,
    ) -> Conditioning:
        """ids (B, P); a prefix is not guided."""
        table = self.character_embedding.weight
        share = table.new_full((ids.shape[1],), self.prediction_loss_weight)
        return Conditioning(prefix=Prefix(ids, table, share, self.output_weight))
